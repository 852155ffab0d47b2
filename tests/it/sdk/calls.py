"""Makes the calls of the Python SDK against one URL and prints what came of each, one JSON object a line.

    calls.py URL HOOKS SALT

HOOKS is the URL below which webhooks are received; SALT keeps two sides on one server apart. The SDK is used as it is:
what went over the wire is only watched. The same calls are made in calls.mjs, where that SDK has them.
"""
import asyncio
import inspect
import json
import sys
import uuid
from collections import defaultdict
from datetime import datetime, timedelta, timezone

from langgraph_sdk import get_client

URL, HOOKS, SALT = sys.argv[1:]
UNKNOWN = "44444444-4444-4444-8444-444444444444"
# Never while a test runs: the server would start runs that nobody asked for.
SELDOM = "0 9 29 2 *"

client = get_client(url=URL, api_key=None)
exchanges = []


async def watch(response):
    request = response.request
    exchanges.append({
        "request": f"{request.method} {request.url.raw_path.decode()}",
        "status": response.status_code,
        "headers": dict(response.headers),
    })


client.http.client.event_hooks["response"].append(watch)


async def call(name, asked):
    """Awaits a coroutine, or collects an iterator, and prints its outcome. What failed answers unknown ids."""
    exchanges.clear()
    try:
        if inspect.isasyncgen(asked) or hasattr(asked, "__anext__"):
            result = [part._asdict() async for part in asked]
        else:
            result = await asked
        outcome = {"result": result}
    except Exception as error:
        result, outcome = None, {"error": describe(error)}
    say({"call": name, "exchanges": exchanges, **outcome})
    return result if isinstance(result, (dict, list)) else defaultdict(lambda: UNKNOWN)


def describe(error):
    described = {"type": type(error).__name__, "text": str(error)}
    described |= {"body": error.body} if hasattr(error, "body") else {}
    return described | ({"notes": error.__notes__} if hasattr(error, "__notes__") else {})


def say(line):
    print(json.dumps(line), flush=True)


def thread_of(name):
    return str(uuid.uuid5(uuid.UUID(SALT), name))


def says(text):
    return {"messages": [{"role": "user", "content": text}]}


def tells(name):
    """A webhook that must be sent once."""
    say({"tells": f"/{name}"})
    return f"{HOOKS}/{name}"


async def until(condition):
    for _ in range(600):
        if await condition():
            return
        await asyncio.sleep(0.1)
    raise TimeoutError


async def gone(thread_id):
    try:
        await client.threads.get(thread_id)
    except Exception as error:
        return getattr(error, "status_code", None) == 404


async def assistants():
    assistant, metadata = thread_of("assistant"), {"salt": SALT}
    made = {"assistant_id": assistant, "metadata": metadata, "name": "first"}
    api = client.assistants
    await call("create an assistant", api.create("agent", **made))
    await call("create an assistant again", api.create("agent", **made))
    await call("create an assistant if absent", api.create("agent", **made, if_exists="do_nothing"))
    await call("create an assistant of no graph", api.create("nope", metadata=metadata))
    await call("get an assistant", api.get(assistant))
    await call("update an assistant", api.update(assistant, name="second", metadata={"more": 1}))
    await call("its versions", api.get_versions(assistant))
    await call("set its latest version", api.set_latest(assistant, 1))
    await call("search assistants", api.search(metadata=metadata))
    await call("search assistants by page", api.search(limit=1, sort_by="name", response_format="object"))
    await call("count assistants", api.count(metadata=metadata))
    await call("graph", api.get_graph("agent"))
    await call("schemas", api.get_schemas("agent"))
    await call("subgraphs", api.get_subgraphs("agent"))
    await call("delete an assistant", api.delete(assistant))
    await call("get a deleted assistant", api.get(assistant))


async def threads():
    thread, metadata, api = thread_of("thread"), {"salt": SALT}, client.threads
    await call("create a thread", api.create(thread_id=thread, metadata=metadata, graph_id="agent"))
    await call("create a thread again", api.create(thread_id=thread))
    await call("create a thread if absent", api.create(thread_id=thread, if_exists="do_nothing"))
    await call("get a thread", api.get(thread))
    await call("update a thread", api.update(thread, metadata={"more": "ü"}))
    await call("update a thread minimally", api.update(thread, metadata={"more": 2}, return_minimal=True))
    await call("write state", api.update_state(thread, says("written"), as_node="echo"))
    state = await call("get state", api.get_state(thread))
    checkpoint = state.get("checkpoint") or defaultdict(lambda: UNKNOWN)
    await call("get state of a checkpoint", api.get_state(thread, checkpoint=checkpoint))
    await call("get state by id", api.get_state(thread, checkpoint_id=checkpoint["checkpoint_id"], subgraphs=True))
    await call("history", api.get_history(thread, limit=5))
    copy = await call("copy a thread", api.copy(thread))
    await call("get state of the copy", api.get_state(copy["thread_id"]))
    await call("delete the copy", api.delete(copy["thread_id"]))
    await call("search threads", api.search(metadata=metadata, sort_by="thread_id", sort_order="asc"))
    await call("search threads, selecting", api.search(ids=[thread], select=["thread_id", "metadata"]))
    await call("count threads", api.count(metadata=metadata))
    await call("prune", api.prune([thread], strategy="keep_latest"))
    await call("delete a thread", api.delete(thread))
    await call("get a deleted thread", api.get(thread))
    await call("get a thread by no id", api.get("not-an-id"))
    await call("get state of an unknown thread", api.get_state(UNKNOWN))


async def runs():
    thread, api, hi = thread_of("runs"), client.runs, {"input": says("hi")}
    await client.threads.create(thread_id=thread)
    run = await call("create a run", api.create(thread, "agent", **hi, metadata={"a": 1}))
    await call("join", api.join(thread, run["run_id"]))
    await call("get a run", api.get(thread, run["run_id"]))
    await call("wait", api.wait(thread, "agent", **hi))
    await call("list runs", api.list(thread, limit=1, select=["run_id", "status"]))
    await call("thread after runs", client.threads.get(thread))
    await call("state after runs", client.threads.get_state(thread))
    await call("history after runs", client.threads.get_history(thread))
    for mode in ["values", "updates", "messages", "messages-tuple", "events", "debug", "custom", ["values", "updates"]]:
        await call(f"stream {mode}", api.stream(thread, "speaker", **hi, stream_mode=mode))
    await call("stream, as version 2", collected(api.stream(None, "speaker", **hi, version="v2")))
    await call("stream an error", api.stream(thread, "agent", input=says("boom")))
    await call("wait for an error", api.wait(thread, "agent", input=says("boom")))
    await call("wait for an error, not raising", api.wait(None, "agent", input=says("boom"), raise_error=False))
    await call("ask", api.wait(thread, "asker", **hi))
    await call("thread that waits", client.threads.get(thread))
    await call("answer", api.wait(thread, "asker", command={"resume": "yes"}))
    await call("interrupt before a node", api.wait(thread, "agent", **hi, interrupt_before="*"))
    await call("run within a thread's stream", said_within_a_stream("speaker", hi))
    await call("create a stateless run", api.create(None, "agent", **hi))
    await call("create a batch", api.create_batch([{"assistant_id": "agent", **hi}] * 2))
    await call("wait on a new thread", api.wait(thread_of("new"), "agent", **hi, if_not_exists="create"))
    await going_runs()
    await refused_runs("", {})


async def said_within_a_stream(assistant, asked):
    """The newer protocol: commands and events of a thread, several at a time, so only their outcome is of interest."""
    async with client.threads.stream(assistant_id=assistant) as thread:
        await thread.run.start(**asked)
        output = await thread.output
    exchanges.clear()
    return output


async def going_runs():
    """Runs that are joined, cancelled or in the way while they go on."""
    thread, api, slow = thread_of("going"), client.runs, {"input": says("sleep 30")}
    await client.threads.create(thread_id=thread)

    async def started(**more):
        run = await api.create(thread, "agent", **more)
        await until(lambda: has_status(thread, run["run_id"], "running"))
        return run["run_id"]

    run = await started(input=says("sleep 1"), stream_resumable=True)
    await call("join a stream", api.join_stream(thread, run, last_event_id="-1"))
    await call("join a stream that has ended", api.join_stream(thread, run, last_event_id="-1"))
    run = await started(**slow)
    await call("reject a run", api.create(thread, "agent", input=says("hi"), multitask_strategy="reject"))
    await call("reject a wait", api.wait(thread, "agent", input=says("hi"), multitask_strategy="reject"))
    await call("cancel", api.cancel(thread, run, wait=True))
    await call("get a cancelled run", api.get(thread, run))
    run = await started(**slow)
    await call("cancel many", api.cancel_many(thread_id=thread, run_ids=[run]))
    await call("join a cancelled run", api.join(thread, run))
    await call("cancel a run that has ended", api.cancel(thread, run))
    await call("delete a run", api.delete(thread, run))
    await call("get a deleted run", api.get(thread, run))


async def refused_runs(kind, more):
    """Errors of runs, as a client meets them; with a webhook nothing may be told."""
    thread, api = thread_of(f"refused{kind}"), client.runs
    await client.threads.create(thread_id=thread)
    asked = {"input": says("hi"), **more}
    for name, made in [("create", api.create), ("wait", api.wait), ("stream", api.stream)]:
        await call(f"{name} on an unknown thread{kind}", made(UNKNOWN, "agent", **asked))
        await call(f"{name} of an unknown assistant{kind}", made(thread, "nope", **asked))
        await call(f"{name} stateless of an unknown assistant{kind}", made(None, "nope", **asked))
        await call(f"{name} with no such strategy{kind}", made(thread, "agent", **asked, multitask_strategy="x"))
        await call(f"{name} on a thread by no id{kind}", made("not-an-id", "agent", **asked))
    await call(f"join an unknown run{kind}", api.join(thread, UNKNOWN))
    await call(f"get an unknown run{kind}", api.get(thread, UNKNOWN))


async def collected(iterator):
    return [part async for part in iterator]


async def has_status(thread, run, status):
    return (await client.runs.get(thread, run))["status"] == status


async def webhooks():
    """The runs that tell a webhook, and what a client sees of them meanwhile."""
    thread, api, metadata = thread_of("webhooks"), client.runs, {"team": "ops"}
    await client.threads.create(thread_id=thread)
    created = []

    def asked(name, text="hi"):
        hook = {"webhook": tells(name), "on_run_created": created.append}
        return {"input": says(text), "metadata": metadata, "config": {"tags": ["t"]}, **hook}

    run = await call("create a run with a webhook", api.create(thread, "agent", **asked("create-on-thread")))
    await call("join a run with a webhook", api.join(thread, run["run_id"]))
    await call("get a run with a webhook", api.get(thread, run["run_id"]))
    await call("wait with a webhook", api.wait(thread, "agent", **asked("wait-on-thread")))
    modes = ["values", "messages", "events"]
    streamed = asked("stream-on-thread") | {"stream_mode": modes}
    await call("stream with a webhook", api.stream(thread, "speaker", **streamed))
    await call("thread after runs with a webhook", client.threads.get(thread))
    await call("state after runs with a webhook", client.threads.get_state(thread))

    run = await call("create stateless with a webhook", api.create(None, "agent", **asked("create-stateless")))
    await until(lambda: gone(run["thread_id"]))
    await call("the thread of a stateless run", client.threads.get(run["thread_id"]))
    await call("wait stateless with a webhook", api.wait(None, "agent", **asked("wait-stateless")))
    streamed = asked("stream-stateless") | {"stream_mode": modes}
    await call("stream stateless with a webhook", api.stream(None, "speaker", **streamed))

    kept = asked("keep-stateless") | {"on_completion": "keep"}
    run = await call("create stateless with a webhook, keeping", api.create(None, "agent", **kept))
    await call("join a kept stateless run", api.join(run["thread_id"], run["run_id"]))
    await call("state of a kept stateless run", client.threads.get_state(run["thread_id"]))
    await call("wait for an error with a webhook", api.wait(thread, "agent", **asked("error", "boom")))
    await call("stream an error with a webhook", api.stream(thread, "agent", **asked("error-stream", "boom")))
    await call("ask with a webhook", api.wait(thread_of("ask"), "asker", **asked("ask"), if_not_exists="create"))
    slow = await api.create(thread, "agent", **asked("cancelled", "sleep 30"))
    await until(lambda: has_status(thread, slow["run_id"], "running"))
    reject = {"input": says("hi"), "multitask_strategy": "reject", "webhook": f"{HOOKS}/rejected"}
    await call("reject a run with a webhook", api.create(thread, "agent", **reject))
    await call("cancel a run with a webhook", api.cancel(thread, slow["run_id"], wait=True))
    await call("get a cancelled run with a webhook", api.get(thread, slow["run_id"]))
    say({"call": "what was said to have been created", "result": created})
    await refused_runs(", with a webhook", {"webhook": f"{HOOKS}/refused"})
    await refused_webhooks(thread)


async def refused_webhooks(thread):
    long = f"{HOOKS}/{'x' * 5000}"
    for kind, url in [("no URL", "hook"), ("another scheme", "ftp://127.0.0.1/hook"), ("no end", long)]:
        asked = {"input": says("hi"), "webhook": url}
        for name, made in [("create", client.runs.create), ("wait", client.runs.wait), ("stream", client.runs.stream)]:
            await call(f"{name} with a webhook of {kind}", made(thread, "agent", **asked))
            await call(f"{name} stateless with a webhook of {kind}", made(None, "agent", **asked))
        cron = {"schedule": SELDOM, **asked}
        await call(f"create a cron with a webhook of {kind}", client.crons.create("agent", **cron))
        made = client.crons.create_for_thread(thread, "agent", **cron)
        await call(f"create a cron for a thread with a webhook of {kind}", made)


async def firing_crons():
    """Two crons that fire once while this script runs."""
    at = datetime.now(timezone.utc) + timedelta(seconds=10)
    schedule = f"{at.minute} {at.hour} {at.day} {at.month} * {at.second}"
    say({"name": "<soon>", "text": schedule})
    thread = thread_of("cron")
    await client.threads.create(thread_id=thread)
    asked = {"schedule": schedule, "input": says("hi"), "metadata": {"team": "ops"}}
    await call("create a cron that fires", client.crons.create("agent", **asked, webhook=tells("cron")))
    made = client.crons.create_for_thread(thread, "agent", **asked, webhook=tells("cron-on-thread"))
    await call("create a cron for a thread that fires", made)
    return thread


async def fired_cron(thread):
    async def has_ended():
        return [run["status"] for run in await client.runs.list(thread)] == ["success"]

    await until(has_ended)
    await call("the run of a cron for a thread", client.runs.list(thread))
    await call("the state after a cron for a thread", client.threads.get_state(thread))


async def crons():
    thread, api, metadata = thread_of("crons"), client.crons, {"salt": SALT}
    await client.threads.create(thread_id=thread)
    assistant = (await client.assistants.create("agent", metadata=metadata))["assistant_id"]
    asked = {"schedule": SELDOM, "input": says("hi"), "metadata": metadata}
    end = datetime(2100, 1, 1, tzinfo=timezone.utc)
    every = {"config": {"tags": ["t"], "configurable": {"x": 1}}, "context": {"y": 2}, "interrupt_before": ["echo"]}
    every |= {"interrupt_after": "*", "webhook": f"{HOOKS}/never", "multitask_strategy": "reject", "end_time": end}
    every |= {"enabled": False, "timezone": "Europe/Berlin", "stream_mode": ["values"], "stream_subgraphs": True}
    every |= {"stream_resumable": True, "durability": "exit"}
    plain = await call("create a cron", api.create(assistant, **asked))
    full = await call("create a cron with everything", api.create(assistant, **asked, **every, on_run_completed="keep"))
    bound = await call("create a cron for a thread", api.create_for_thread(thread, assistant, **asked))
    await call("create a cron for a thread with everything", api.create_for_thread(thread, assistant, **asked, **every))
    seconds = {"schedule": "0 9 29 2 * 30", "metadata": metadata}
    await call("create a cron with seconds, by graph", api.create("agent", **seconds))
    await call("get a cron", client.http.get(f"/runs/crons/{plain['cron_id']}"))

    ours = {"assistant_id": assistant}
    await call("search crons", api.search(**ours))
    await call("search crons by graph", api.search(assistant_id="agent", metadata=metadata))
    await call("search crons of a thread", api.search(thread_id=thread))
    await call("search crons that are enabled", api.search(**ours, enabled=True))
    await call("search crons that are not", api.search(**ours, enabled=False))
    await call("search crons by metadata", api.search(metadata=metadata))
    await call("search crons by other metadata", api.search(**ours, metadata={"salt": "no"}))
    await call("search crons by page", api.search(**ours, limit=2, offset=1))
    for key in ["cron_id", "created_at", "updated_at", "next_run_date", "thread_id", "x"]:
        sorting = {"sort_by": key, "sort_order": "asc", "select": ["schedule", "thread_id", "payload"]}
        await call(f"search crons sorted by {key}", api.search(**ours, **sorting))
    await call("search crons selecting what is not", api.search(**ours, select=["nope"]))
    await call("search no crons", api.search(**ours, limit=0))
    await call("search too many crons", api.search(**ours, limit=1001))
    await call("search crons from before the first", api.search(**ours, offset=-1))
    await call("count crons", api.count(**ours))
    await call("count crons of a thread", api.count(thread_id=thread))
    await call("count crons by metadata", api.count(metadata=metadata))

    async def update(name, **change):
        await call(f"update {name}", api.update(plain["cron_id"], **change))

    await update("the schedule", schedule="0 8 29 2 *")
    await update("the timezone", timezone="America/New_York")
    await update("schedule and timezone", schedule="30 8 29 2 *", timezone="UTC")
    await update("input and metadata", input=says("ho"), metadata={"more": 1})
    await update("config and context", config={"tags": ["u"]}, context={"z": 3})
    await update("the webhook", webhook=f"{HOOKS}/never-either")
    await update("the end", end_time=end)
    await update("the end away", end_time=None)
    await update("whether it is enabled", enabled=False)
    await update("what becomes of threads", on_run_completed="keep")
    await update("the rest", interrupt_before=["echo"], interrupt_after="*", stream_mode="values", durability="sync")
    await update("nothing")
    await update("to a bad schedule", schedule="bad")
    await update("to a bad timezone", timezone="Mars/X")
    await update("to a webhook of another scheme", webhook="ftp://127.0.0.1/hook")
    await update("to an end that is past", end_time=datetime(2001, 1, 1, tzinfo=timezone.utc))
    await call("update a cron for a thread", api.update(bound["cron_id"], enabled=False, on_run_completed="keep"))
    await call("update the one with everything", api.update(full["cron_id"], config={"configurable": {"w": 1}}))

    for name, change in [
        ("a bad schedule", {"schedule": "bad"}), ("no schedule", {"schedule": ""}),
        ("a schedule that never matches", {"schedule": "0 0 31 2 *"}), ("a bad timezone", {"timezone": "Mars/X"}),
        ("an end that is past", {"end_time": datetime(2001, 1, 1, tzinfo=timezone.utc)}),
        ("no such strategy", {"multitask_strategy": "x"}), ("no such durability", {"durability": "x"}),
        ("no such stream mode", {"stream_mode": "x"}), ("input that is a list", {"input": [1]}),
        ("metadata that is a list", {"metadata": [1]}),
    ]:
        await call(f"create a cron with {name}", api.create(assistant, **(asked | change)))
        await call(f"create a cron for a thread with {name}", api.create_for_thread(thread, assistant, **(asked | change)))
    await call("create a cron of an unknown assistant", api.create("nope", **asked))
    await call("create a cron of an unknown assistant's id", api.create(UNKNOWN, **asked))
    await call("create a cron for an unknown thread", api.create_for_thread(UNKNOWN, assistant, **asked))
    await call("create a cron for a thread by no id", api.create_for_thread("not-an-id", assistant, **asked))
    await call("update an unknown cron", api.update(UNKNOWN, enabled=False))
    await call("update a cron by no id", api.update("not-an-id", enabled=False))
    await call("get an unknown cron", client.http.get(f"/runs/crons/{UNKNOWN}"))
    await call("delete a cron", api.delete(plain["cron_id"]))
    await call("delete a cron again", api.delete(plain["cron_id"]))
    await call("get a deleted cron", client.http.get(f"/runs/crons/{plain['cron_id']}"))
    await call("delete a cron by no id", api.delete("not-an-id"))
    await call("search crons after all", api.search(**ours))


async def store():
    space, api = ["sdk", SALT], client.store
    await call("put an item", api.put_item(space, key="a", value={"n": 1}))
    await call("get an item", api.get_item(space, key="a"))
    await call("get an absent item", api.get_item(space, key="b"))
    await call("search items", api.search_items(space, filter={"n": 1}))
    await call("list namespaces", api.list_namespaces(prefix=space))
    await call("delete an item", api.delete_item(space, key="a"))
    await call("search no items", api.search_items(space))


async def main():
    say({"name": "<url>", "text": URL})
    say({"name": "<hooks>", "text": HOOKS})
    thread = await firing_crons()
    for part in [assistants, threads, runs, webhooks, store]:
        await part()
    # From here on the server may fire no cron: an end that it takes by PATCH stops its scheduler for all (0.16.7).
    await fired_cron(thread)
    await crons()
    await call("server info", client.http.get("/info"))


asyncio.run(main())
