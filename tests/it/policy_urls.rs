//! URLs, DNS answers, redirects and rebindings of an attacker, run against the code that really connects. DNS and the last
//! step, from an allowed address to a socket, are the test's own; everything in between is what the daemon runs.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use agentcron::clock::Clock;
use agentcron::config::{Environment, WebhooksConfig};
use agentcron::domain::delivery::{AttemptReport, AttemptResult, Ending, Fault};
use agentcron::domain::url_policy::UrlPolicy;
use agentcron::transport::{Dialer, Probe, Transport};
use agentcron::webhook::{Examination, OutboundWebhook, Sender, examine};
use serde_json::Value;
use tokio::net::TcpStream;

use super::support::receiver::{Receiver, Reply};

/// The layers of cases that can only be decided when the connection is made; text and literals are refused before.
const CONNECTION_LAYERS: [&str; 5] = ["name", "dns", "rebind", "redirect", "parser"];

fn cases() -> Vec<Value> {
    let text = include_str!("../fixtures/webhooks/urls.json");
    serde_json::from_str(text).unwrap()
}

/// A sender whose connections always end at the receiver, whichever address they were allowed for.
struct Fixture {
    sender: Sender,
    probe: Probe,
    policy: UrlPolicy,
    receiver: Receiver,
    answers: Arc<Mutex<Vec<IpAddr>>>,
    dialled: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Fixture {
    fn new(disable_private_ips: bool) -> Self {
        let receiver = Receiver::start();
        let at: SocketAddr = receiver.url("").trim_start_matches("http://").parse().unwrap();
        let (answers, dialled) =
            (Arc::<Mutex<Vec<IpAddr>>>::default(), Arc::<Mutex<Vec<SocketAddr>>>::default());
        let (resolver_answers, dialled_addresses) = (Arc::clone(&answers), Arc::clone(&dialled));
        let dialer = Dialer::new(
            move |_name| {
                let answer = resolver_answers.lock().unwrap().clone();
                async move { Ok::<_, io::Error>(answer) }
            },
            move |address| {
                dialled_addresses.lock().unwrap().push(address);
                TcpStream::connect(at)
            },
        );
        let policy = UrlPolicy {
            require_https: false,
            allowed_domains: None,
            allowed_ports: None,
            max_url_length: 4096,
            disable_loopback: true,
            disable_private_ips,
        };
        let webhooks = WebhooksConfig {
            signing_secrets: Vec::new(),
            url: policy.clone(),
            headers: BTreeMap::new(),
            env_prefix: "LG_WEBHOOK_".to_owned(),
            allowed_fields: None,
            body_bytes_max: 1 << 20,
            ca_file: None,
        };
        let transport = Transport::to_receivers(None, dialer.clone(), policy.clone()).unwrap();
        let sender = Sender::new(transport, Environment::of_map([]), Clock::system(), webhooks);
        let probe = Probe::new(None, dialer, policy.clone()).unwrap();
        Self { sender, probe, policy, receiver, answers, dialled }
    }

    /// Runs `webhook doctor` with these DNS answers; returns its result and the addresses that it connected to.
    async fn examine(&self, url: &str, addresses: Vec<IpAddr>) -> (Examination, Vec<SocketAddr>) {
        *self.answers.lock().unwrap() = addresses;
        self.dialled.lock().unwrap().clear();
        let examination = examine(url, &self.policy, &self.probe).await;
        (examination, std::mem::take(&mut *self.dialled.lock().unwrap()))
    }

    /// Makes one attempt with these DNS answers; returns its result and the addresses that it connected to.
    async fn attempt(&self, url: &str, addresses: Vec<IpAddr>) -> (AttemptReport, Vec<SocketAddr>) {
        *self.answers.lock().unwrap() = addresses;
        self.dialled.lock().unwrap().clear();
        let webhook_id = "msg_1".to_owned();
        let attempt = OutboundWebhook { webhook_id, url: url.to_owned(), body: b"{}".to_vec(), trace: None };
        let report = self.sender.send(attempt).await;
        (report, std::mem::take(&mut *self.dialled.lock().unwrap()))
    }
}

fn addresses(case: &Value) -> Vec<IpAddr> {
    let one = case["resolves_to"].as_str().into_iter();
    let more = case["also_resolves_to"].as_array().into_iter().flatten().map(|also| also.as_str().unwrap());
    one.chain(more).map(|address| address.parse().unwrap()).collect()
}

async fn check(case: &Value, fixture: &Fixture, verdict: &str) {
    let (id, mut url) = (&case["id"], case["url"].as_str().unwrap().to_owned());
    let found = addresses(case);
    fixture.receiver.reply_always(Reply::status(200).header("connection", "close"));
    if let Some(location) = case["redirects_to"].as_str() {
        // The receiver speaks no TLS, and its redirect must arrive.
        url = url.replace("https://", "http://");
        let redirect = Reply::status(307).header("connection", "close").header("location", location);
        fixture.receiver.reply_always(redirect);
    }
    let url = url.as_str();
    let (mut report, mut dialled) = fixture.attempt(url, found.clone()).await;
    if let Some(rebound) = case["rebinds_to"].as_str() {
        assert_eq!(dialled.len(), 1, "{id}: the first answer is fine: {report:?}");
        (report, dialled) = fixture.attempt(url, vec![rebound.parse().unwrap()]).await;
    }
    if case["redirects_to"].is_string() {
        let refused = AttemptResult::Refused {
            code: Some(307),
            detail: "the receiver answered 307, a redirect; redirects are not followed".to_owned(),
            retry_after: None,
            fault: Fault::Refused,
        };
        assert_eq!((report.result, dialled.len()), (refused, 1), "{id}");
        return;
    }
    if verdict == "deny" {
        assert_eq!(dialled, [], "{id} {url}: connected");
        let is_blocked = matches!(report.result, AttemptResult::Final { ending: Ending::Blocked, .. });
        let by_name = CONNECTION_LAYERS.contains(&case["layer"].as_str().unwrap());
        assert!(is_blocked || by_name && !found.is_empty(), "{id} {url}: {report:?}");
        assert!(report.result.detail().unwrap().contains("the policy refuses"), "{id}: {report:?}");
        return;
    }
    let parsed = url::Url::parse(url).unwrap();
    if let Some(host) = case["parsed_host"].as_str() {
        assert_eq!(parsed.host_str(), Some(host), "{id}");
    }
    let literal = parsed.host_str().unwrap().trim_matches(['[', ']']).parse().ok();
    let expected: Vec<IpAddr> = found.first().copied().or(literal).into_iter().collect();
    let reached: Vec<IpAddr> = dialled.iter().map(SocketAddr::ip).collect();
    assert_eq!(reached, expected, "{id} {url}: {report:?}");
    assert_eq!(dialled[0].port(), parsed.port_or_known_default().unwrap(), "{id}");
    // The receiver speaks no TLS.
    let is_expected = match parsed.scheme() {
        "http" => report.result == AttemptResult::Accepted { code: 200 },
        _ => report.result.detail().unwrap().contains("TLS"),
    };
    assert!(is_expected, "{id} {url}: {report:?}");
}

#[tokio::test]
async fn every_case_is_decided_where_the_connection_is_made_in_both_profiles() {
    for (disable_private_ips, verdict) in [(true, "verdict"), (false, "verdict_private_ok")] {
        let fixture = Fixture::new(disable_private_ips);
        for case in cases() {
            check(&case, &fixture, case[verdict].as_str().unwrap()).await;
        }
    }
}

#[tokio::test]
async fn the_doctor_decides_every_case_as_the_courier_does() {
    for (disable_private_ips, verdict) in [(true, "verdict"), (false, "verdict_private_ok")] {
        let fixture = Fixture::new(disable_private_ips);
        for case in cases() {
            let (id, url) = (&case["id"], case["url"].as_str().unwrap());
            let (mut examination, mut dialled) = fixture.examine(url, addresses(&case)).await;
            if let Some(rebound) = case["rebinds_to"].as_str() {
                assert!(examination.verdict.is_allowed(), "{id}: the first answer is fine: {examination:?}");
                (examination, dialled) = fixture.examine(url, vec![rebound.parse().unwrap()]).await;
            }
            // The doctor sends no request, so it does not learn about redirects.
            let is_allowed = case[verdict] == "allow" || case["redirects_to"].is_string();
            assert_eq!(examination.verdict.is_allowed(), is_allowed, "{id} {url}: {examination:?}");
            assert_eq!(examination.verdict.rule().is_none(), is_allowed, "{id} {url}: {examination:?}");
            assert_eq!(dialled.len(), usize::from(is_allowed), "{id} {url}: {dialled:?}");
            let refused = examination.addresses.iter().filter(|judged| judged.violation.is_some()).count();
            assert!(
                !is_allowed || refused == 0 && !examination.addresses.is_empty(),
                "{id} {url}: {examination:?}"
            );
        }
    }
}

/// A second line of defence: even if the URL were not checked at all, no connection would be made.
#[tokio::test]
async fn the_connection_itself_refuses_literals() {
    let dialer = Dialer::new(
        async |_| panic!("a literal is not looked up"),
        async |_| panic!("a refused address is dialled"),
    );
    let policy = UrlPolicy {
        require_https: false,
        allowed_domains: None,
        allowed_ports: None,
        max_url_length: 4096,
        disable_loopback: true,
        disable_private_ips: true,
    };
    let transport = Transport::to_receivers(None, dialer, policy).unwrap();
    for url in
        ["http://127.0.0.1/", "http://[::ffff:10.0.0.1]:81/", "https://169.254.169.254/", "http://0.0.0.0/"]
    {
        let request = http::Request::post(url).body(bytes::Bytes::new()).unwrap();
        let refused = transport.send(request).await.map(|_| ()).unwrap_err();
        assert!(matches!(refused, agentcron::transport::TransportError::Denied(_)), "{url}: {refused}");
    }
}
