//! What the receivers demand, by their documents.

use expect_test::expect;
use serde_json::Value;

use super::*;
use crate::config::SmtpTls;
use crate::domain::notification::NotificationItem;

fn notification(title: &str, text: &str, ended: bool) -> Notification {
    let item = NotificationItem {
        name: "digest".to_owned(),
        since: "2026-03-02T09:00:00Z".to_owned(),
        until: None,
        text: text.to_owned(),
    };
    Notification {
        event: "agentcron.failing".to_owned(),
        timestamp: "2026-03-02T09:00:10Z".to_owned(),
        data: NotificationData {
            kind: "failing".to_owned(),
            ended,
            incident: "37a85aed-6ed4-5eb5-a995-74e31a8fcafc".to_owned(),
            severity: if ended { "info" } else { "error" }.to_owned(),
            title: title.to_owned(),
            items: vec![item],
            more: 0,
            host: "prod-1".to_owned(),
        },
    }
}

fn recorded(notification: &Notification) -> OutboundWebhook {
    let body = notification.to_json().into_bytes();
    OutboundWebhook { webhook_id: "msg_1".to_owned(), url: "notify://ops".to_owned(), body, trace: None }
}

fn secret(text: &str) -> Secret {
    Secret::new(text)
}

/// Returns the JSON that is posted there.
fn posted(to: &Destination, notification: &Notification) -> Value {
    match message(to, recorded(notification)) {
        Ok(Message::Request(request)) => serde_json::from_slice(&request.body).unwrap(),
        Ok(Message::Webhook(webhook)) => serde_json::from_slice(&webhook.body).unwrap(),
        Ok(Message::Mail(_)) | Err(_) => panic!("no request"),
    }
}

fn slack_hook() -> Destination {
    Destination::Slack { url: secret("https://hooks.slack.example/services/T/B/s3cret") }
}

fn events() -> Destination {
    Destination::PagerDuty { url: secret("https://events.example/v2/enqueue"), routing_key: secret("R0") }
}

#[test]
fn slack_gets_a_text_and_blocks_in_which_nothing_is_interpreted() {
    let body = posted(&slack_hook(), &notification("<!channel> is failing", "a & b <https://x|y>", false));
    expect![[r#"
        {
          "text": ":x: &lt;!channel&gt; is failing",
          "blocks": [
            {
              "type": "header",
              "text": {
                "type": "plain_text",
                "text": ":x: &lt;!channel&gt; is failing",
                "emoji": true
              }
            },
            {
              "type": "section",
              "text": {
                "type": "plain_text",
                "text": "digest: a &amp; b &lt;https://x|y&gt;",
                "emoji": true
              }
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&body).unwrap());
    for text in ["&".repeat(5000), "ä".repeat(5000), String::new()] {
        let body = posted(&slack_hook(), &notification(&text, &text, false));
        let chars = |value: &Value| value["text"]["text"].as_str().unwrap().chars().count();
        let (header, section) = (chars(&body["blocks"][0]), chars(&body["blocks"][1]));
        assert!((1..=150).contains(&header) && (1..=3000).contains(&section), "{header} {section}");
    }
}

#[test]
fn pagerduty_gets_what_its_events_need_and_the_end_has_the_key_of_the_beginning() {
    let begun = posted(&events(), &notification(&"x".repeat(2000), "so", false));
    for key in ["routing_key", "event_action", "dedup_key", "payload"] {
        assert!(!begun[key].is_null(), "{key}");
    }
    for key in ["summary", "source", "severity"] {
        assert!(begun["payload"][key].is_string(), "payload.{key}");
    }
    assert_eq!(begun["payload"]["summary"].as_str().unwrap().chars().count(), 1024);
    assert_eq!((&begun["event_action"], &begun["payload"]["severity"]), (&json!("trigger"), &json!("error")));
    let ended = posted(&events(), &notification("works again", "so", true));
    assert_eq!(
        ended,
        json!({ "routing_key": "R0", "event_action": "resolve", "dedup_key": begun["dedup_key"] })
    );
}

#[test]
fn ntfy_gets_a_topic_and_no_message_that_becomes_a_file() {
    let to = |token: Option<&str>| Destination::Ntfy {
        url: secret("https://ntfy.example/"),
        topic: secret("t0pic"),
        token: token.map(secret),
    };
    let body = posted(&to(None), &notification("a is failing", &"ä".repeat(5000), false));
    assert_eq!((&body["topic"], &body["title"]), (&json!("t0pic"), &json!("a is failing")));
    assert_eq!((&body["priority"], &body["tags"]), (&json!(4), &json!(["x"])));
    assert!(body["message"].as_str().unwrap().len() <= 4096);
    let Ok(Message::Request(request)) = message(&to(Some("tk")), recorded(&notification("a", "b", true)))
    else {
        panic!("no request")
    };
    assert_eq!(request.token, Some(secret("tk")));
    assert_eq!(request.secrets, [secret("t0pic"), secret("tk")]);
}

#[test]
fn generic_json_is_what_was_recorded() {
    let one = notification("a is failing", "so", false);
    let to = Destination::Webhook { url: secret("https://ops.example/?a=${{ env.X }}") };
    assert_eq!(posted(&to, &one), serde_json::to_value(&one).unwrap());
    let Ok(Message::Webhook(webhook)) = message(&to, recorded(&one)) else { panic!("no webhook") };
    assert_eq!(webhook.webhook_id, "msg_1");
    assert_eq!(template::placeholders(&webhook.url).unwrap(), [], "what was filled is not filled again");
}

#[test]
fn a_mail_is_known_by_its_id_and_no_title_adds_a_header() {
    let to = EmailDestination {
        host: "mail.example".to_owned(),
        port: 465,
        tls: SmtpTls::Wrapped,
        login: None,
        from: "agentcron <agentcron@example.com>".to_owned(),
        to: vec!["ops@example.com".to_owned(), "Päul <paul@example.com>".to_owned()],
    };
    let one = notification("a\r\nBcc: eve@example.com\r\n\r\nis failing ä", "so\n.\nQUIT", false);
    let mail = mail(&one, &to, "msg_1").unwrap_or_else(|result| panic!("{result:?}"));
    let text = String::from_utf8(mail.message.formatted()).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let has = |name: &str| head.lines().filter(|line| line.starts_with(&format!("{name}:"))).count();
    for (name, count) in [("From", 1), ("To", 1), ("Subject", 1), ("Date", 1), ("Message-ID", 1), ("Bcc", 0)]
    {
        assert_eq!(has(name), count, "{name} in\n{head}");
    }
    assert!(head.contains("Message-ID: <msg_1@agentcron.invalid>"), "{head}");
    assert!(head.contains("References: <37a85aed-6ed4-5eb5-a995-74e31a8fcafc@agentcron.invalid>"), "{head}");
    assert!(head.contains("Date: Mon, 02 Mar 2026 09:00:10 +0000"), "{head}");
    assert_eq!(mail.message.envelope().to().len(), 2);
}

#[test]
fn what_another_version_recorded_is_not_sent() {
    let unknown = OutboundWebhook { body: b"{}".to_vec(), ..recorded(&notification("a", "b", false)) };
    let Err(result) = message(&slack_hook(), unknown) else { panic!("it is sent") };
    assert!(matches!(result, AttemptResult::Final { ending: Ending::Blocked, .. }), "{result:?}");
}
