//! Whether a graph failed because a service that it uses, usually a model provider, refused it for the moment: it was
//! overloaded, or a limit was reached. It is told by the types and the words of the providers' own clients. It is pure.

use std::time::Duration;

use super::bounds::{OVERLOAD_WAIT_MIN, RETRY_WAIT_MAX};
use super::run::RunError;

/// The types of errors that mean nothing else, in lower case.
const TYPES: &[&str] = &[
    "overloadederror",
    "ratelimiterror",
    "resourceexhausted",
    "servicequotaexceededexception",
    "throttlingexception",
    "toomanyrequests",
    "toomanyrequestserror",
    "toomanyrequestsexception",
];

/// What the clients and the services write into errors of other types, in lower case. A number alone, such as 429, is
/// none of it: a graph may mean anything by it.
const WORDS: &[&str] = &[
    "(servicequotaexceededexception)",
    "(throttlingexception)",
    "(toomanyrequestsexception)",
    "429 resource has been exhausted",
    "client error '429 too many requests'",
    "engine is currently overloaded",
    "error code: 429",
    "error code: 529",
    "error response 429 while fetching",
    "errors/model_rate_limit",
    "model is currently overloaded",
    "model is overloaded",
    "overloaded_error",
    "rate_limit_error",
    "rate_limit_exceeded",
    "resource_exhausted",
    "server is overloaded",
    "status_code: 429",
];

/// What the JavaScript clients begin their messages with.
const BEGINNINGS: &[&str] = &["429 ", "529 "];

/// What is used up until somebody pays, which no short wait changes.
const USED_UP: &str = "insufficient_quota";

/// What stands before the time after which the service wants to be asked again, in lower case.
const BEFORE_WAIT: &[&str] = &[
    "try again in ",
    "retry after ",
    "retry in ",
    "retry-after",
    "retry_after",
    "retrydelay",
    "retry_delay",
];

/// Returns the least time to wait before a graph with this error runs again, or `None` if the error is of another kind.
pub fn wait_after_overload(error: &RunError) -> Option<Duration> {
    let kind = error.error.rsplit(['.', ':']).next().unwrap_or_default().to_ascii_lowercase();
    let message = error.message.to_ascii_lowercase();
    let is_used_up = message.contains(USED_UP);
    let is_overload = is_used_up
        || TYPES.contains(&kind.as_str())
        || WORDS.iter().any(|words| message.contains(words))
        || BEGINNINGS.iter().any(|beginning| message.starts_with(beginning));
    let asked = if is_used_up { RETRY_WAIT_MAX } else { asked_wait(&message).unwrap_or_default() };
    is_overload.then(|| asked.clamp(OVERLOAD_WAIT_MIN, RETRY_WAIT_MAX))
}

/// Returns the longest wait that a message in lower case asks for.
fn asked_wait(message: &str) -> Option<Duration> {
    let after =
        |words: &&'static str| message.match_indices(*words).map(|(at, words)| &message[at + words.len()..]);
    BEFORE_WAIT.iter().flat_map(after).filter_map(duration).max()
}

/// Returns the duration at the beginning of a text: `6m0s`, `1.2s`, `20 seconds`, `': '32s'`, ` { seconds: 32`, or a
/// number of seconds.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim_start_matches(|char: char| !char.is_ascii_alphanumeric());
    let mut rest = text.strip_prefix("seconds: ").unwrap_or(text);
    let mut seconds: Option<f64> = None;
    loop {
        let (number, after) = split(rest, |char| char.is_ascii_digit() || char == '.');
        let Ok(number) = number.trim_end_matches('.').parse::<f64>() else { break };
        let (unit, after) =
            split(after.strip_prefix(' ').unwrap_or(after), |char| char.is_ascii_alphabetic());
        let length = match unit {
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            _ => 1.0,
        };
        seconds = Some(seconds.unwrap_or(0.0) + number * length);
        rest = after;
    }
    Duration::try_from_secs_f64(seconds?).ok()
}

fn split(text: &str, is_part: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|char| !is_part(char)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    /// Errors as clients raise them, shortened.
    const OVERLOADS: &[(&str, &str)] = &[
        (
            "RateLimitError",
            "Error code: 429 - {'error': {'message': 'Rate limit reached for gpt-4o-mini in organization org-1 on tokens per min (TPM): Limit 200000, Used 199748, Requested 15538. Please try again in 4.585s. Visit https://platform.openai.com/account/rate-limits to learn more.', 'type': 'tokens', 'param': None, 'code': 'rate_limit_exceeded'}}",
        ),
        (
            "RateLimitError",
            "Error code: 429 - {'error': {'message': 'Rate limit reached on requests per day (RPD): Limit 200, Used 200. Please try again in 7m12s.', 'code': 'rate_limit_exceeded'}}",
        ),
        (
            "RateLimitError",
            "Error code: 429 - {'error': {'message': 'Rate limit reached. Please try again in 20ms.'}}",
        ),
        (
            "RateLimitError",
            "Error code: 429 - {'error': {'message': 'You exceeded your current quota, please check your plan and billing details.', 'type': 'insufficient_quota', 'param': None, 'code': 'insufficient_quota'}}",
        ),
        (
            "InternalServerError",
            "Error code: 503 - {'error': {'message': 'That model is currently overloaded with other requests.', 'type': 'server_error'}}",
        ),
        (
            "LLMGenerationError",
            "Error code: 429 - {'error': {'message': 'Rate limit reached for gpt-4o-mini'}}",
        ),
        (
            "RateLimitError",
            "Error code: 429 - {'error': {'code': '429', 'message': 'Requests to the ChatCompletions_Create Operation have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 86 seconds. Please contact Azure support service.'}}",
        ),
        (
            "OverloadedError",
            "Error code: 529 - {'type': 'error', 'error': {'type': 'overloaded_error', 'message': 'Overloaded'}}",
        ),
        (
            "APIStatusError",
            "{'type': 'error', 'error': {'details': None, 'type': 'overloaded_error', 'message': 'Overloaded'}, 'request_id': 'req_1'}",
        ),
        (
            "Error",
            "529 {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
        ),
        (
            "Error",
            "429 You exceeded your current quota, please check your plan.\n\nTroubleshooting URL: https://js.langchain.com/docs/troubleshooting/errors/MODEL_RATE_LIMIT/\n",
        ),
        (
            "ResourceExhausted",
            "429 You exceeded your current quota. [violations {\n}\n, retry_delay {\n  seconds: 92\n}\n]",
        ),
        (
            "google.api_core.exceptions.ResourceExhausted",
            "429 Resource has been exhausted (e.g. check quota).",
        ),
        (
            "ChatGoogleGenerativeAIError",
            "Error calling model 'gemini-2.5-flash' (RESOURCE_EXHAUSTED): 429 RESOURCE_EXHAUSTED. {'error': {'code': 429, 'message': 'Please retry in 78.17s.', 'details': [{'@type': 'type.googleapis.com/google.rpc.RetryInfo', 'retryDelay': '79s'}]}}",
        ),
        (
            "ServerError",
            "503 UNAVAILABLE. {'error': {'code': 503, 'message': 'The model is overloaded. Please try again later.', 'status': 'UNAVAILABLE'}}",
        ),
        (
            "ThrottlingException",
            "An error occurred (ThrottlingException) when calling the Converse operation (reached max retries: 4): Too many requests, please wait before trying again.",
        ),
        (
            "EventStreamError",
            "An error occurred (throttlingException) when calling the InvokeModelWithResponseStream operation: Too many requests, please wait before trying again.",
        ),
        (
            "ValueError",
            "Error raised by bedrock service: An error occurred (ThrottlingException) when calling the InvokeModel operation: Too many tokens",
        ),
        (
            "ClientError",
            "An error occurred (ServiceQuotaExceededException) when calling the InvokeModel operation: Too many tokens per day",
        ),
        (
            "HTTPStatusError",
            "Error response 429 while fetching https://api.mistral.ai/v1/chat/completions: {\"message\":\"Requests rate limit exceeded\"}",
        ),
        ("HTTPStatusError", "Client error '429 Too Many Requests' for url 'https://api.example.com/v1/chat'"),
        (
            "TooManyRequestsError",
            "headers: {'retry-after': '120'}, status_code: 429, body: {'message': 'too many requests'}",
        ),
        ("ApiError", "status_code: 429, body: data=None message='trial key'"),
        (
            "RateLimitError",
            "Error code: 429 - {'error': {'message': 'Rate limit reached for model `llama` in organization `org_1` service tier `on_demand` on tokens per day (TPD): Limit 100000. Please try again in 1h26m24.5s. Need more tokens?'}}",
        ),
    ];

    /// Errors of graphs that are about something else.
    const OTHERS: &[(&str, &str)] = &[
        ("ValueError", "row 429 of the table is malformed"),
        ("ValueError", "expected status 200, got 429"),
        ("KeyError", "'retry_after'"),
        ("AssertionError", "the overloaded function takes 2 arguments"),
        ("TimeoutError", "timed out; try again in 20s"),
        ("RuntimeError", "4290 rows were read"),
        (
            "BadRequestError",
            "Error code: 400 - {'error': {'message': 'maximum context length is 8192 tokens'}}",
        ),
        ("AuthenticationError", "Error code: 401 - {'error': {'message': 'Incorrect API key provided'}}"),
        ("InternalServerError", "Error code: 503 - {'error': {'message': 'Service Unavailable'}}"),
        ("ValueError", "Node 'ThrottlingException' is not defined"),
        ("", ""),
    ];

    fn table(cases: &[(&str, &str)]) -> String {
        let mut table = String::new();
        for (kind, message) in cases {
            let wait =
                wait_after_overload(&RunError { error: (*kind).to_owned(), message: (*message).to_owned() });
            let wait = wait.map_or("-".to_owned(), |wait| humantime::format_duration(wait).to_string());
            let beginning: String = message.chars().take(50).collect();
            table.push_str(&format!("{wait:10} {kind} {}\n", beginning.replace('\n', " ").trim_end()));
        }
        table
    }

    #[test]
    fn a_provider_that_is_overloaded_is_recognised_with_the_wait_that_it_asks_for() {
        expect![[r#"
            1m         RateLimitError Error code: 429 - {'error': {'message': 'Rate limi
            7m 12s     RateLimitError Error code: 429 - {'error': {'message': 'Rate limi
            1m         RateLimitError Error code: 429 - {'error': {'message': 'Rate limi
            1h         RateLimitError Error code: 429 - {'error': {'message': 'You excee
            1m         InternalServerError Error code: 503 - {'error': {'message': 'That mode
            1m         LLMGenerationError Error code: 429 - {'error': {'message': 'Rate limi
            1m 26s     RateLimitError Error code: 429 - {'error': {'code': '429', 'messa
            1m         OverloadedError Error code: 529 - {'type': 'error', 'error': {'typ
            1m         APIStatusError {'type': 'error', 'error': {'details': None, 'type
            1m         Error 529 {"type":"error","error":{"type":"overloaded_er
            1m         Error 429 You exceeded your current quota, please check
            1m 32s     ResourceExhausted 429 You exceeded your current quota. [violations {
            1m         google.api_core.exceptions.ResourceExhausted 429 Resource has been exhausted (e.g. check quota)
            1m 19s     ChatGoogleGenerativeAIError Error calling model 'gemini-2.5-flash' (RESOURCE_E
            1m         ServerError 503 UNAVAILABLE. {'error': {'code': 503, 'message'
            1m         ThrottlingException An error occurred (ThrottlingException) when calli
            1m         EventStreamError An error occurred (throttlingException) when calli
            1m         ValueError Error raised by bedrock service: An error occurred
            1m         ClientError An error occurred (ServiceQuotaExceededException)
            1m         HTTPStatusError Error response 429 while fetching https://api.mist
            1m         HTTPStatusError Client error '429 Too Many Requests' for url 'http
            2m         TooManyRequestsError headers: {'retry-after': '120'}, status_code: 429,
            1m         ApiError status_code: 429, body: data=None message='trial k
            1h         RateLimitError Error code: 429 - {'error': {'message': 'Rate limi
        "#]].assert_eq(&table(OVERLOADS));
    }

    #[test]
    fn a_graph_may_mention_such_things() {
        for line in table(OTHERS).lines() {
            assert!(line.starts_with('-'), "{line}");
        }
    }
}
