//! What is kept of a receiver's answer: clients can read it.

use super::*;
use crate::domain::ids::{DeliveryId, InstallationId, RunId};
use crate::transport::ConnectionInfo;

/// Returns receivers that refuse everything and say where they are: at the address that is the path.
fn receivers_at_addresses() -> Transport {
    Transport::function(move |request: Request<Bytes>| {
        Box::pin(async move {
            let body: BodyStream = Box::pin(futures_util::stream::iter([Ok(Bytes::from_static(b"inside"))]));
            let mut response = Response::builder().status(400).body(body).unwrap();
            if let Ok(address) = request.uri().path()[1..].parse() {
                let opening = crate::domain::delivery::Phases::default();
                response.extensions_mut().insert(ConnectionInfo { address, opening });
            }
            Ok(response)
        })
    })
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_inside_is_kept_only_if_the_url_came_from_a_file() {
    let addresses = [
        ("93.184.216.34:443", true),
        ("[2606:2800:220:1::1]:443", true),
        ("10.0.0.7:80", false),
        ("192.168.1.1:8080", false),
        ("100.64.0.1:80", false),
        ("127.0.0.1:80", false),
        ("[fd00::1]:80", false),
        ("[::ffff:10.0.0.7]:80", false),
        ("unknown", false),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agentcron.db");
    let store =
        Store::open(&path, Execution::Inline, InstallationId::default(), crate::clock::Clock::system())
            .unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    for (source, cron, request) in
        [("file", "'f'", "NULL"), ("api", "'a'", "'{}'"), ("client", "NULL", "NULL")]
    {
        let run_id = RunId(uuid::Uuid::new_v4());
        if source != "client" {
            connection
                .execute_batch(&format!(
                    "INSERT INTO crons (cron_id, name, source, request, definition_id, cursor, created_at, updated_at) \
                     VALUES ({cron}, '{source}', '{source}', {request}, 'd', 0, 0, 0)"
                ))
                .unwrap();
        }
        let definition = if source == "client" { "NULL" } else { "'d'" };
        let cron_source = if source == "client" { "NULL".to_owned() } else { format!("'{source}'") };
        connection
            .execute_batch(&format!(
                "INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, scheduled_for, due_at, \
                 start_before, exclusive, phase, start_number, status, ended_at) VALUES ('{run_id}', {cron}, {cron}, \
                 {cron_source}, {definition}, 'api', 0, 0, 0, 0, 'ended', 1, 'success', 0)"
            ))
            .unwrap();
        for (address, _) in addresses {
            let url = format!("https://{source}.example/{address}");
            let sql = "INSERT INTO deliveries (delivery_id, run_id, url, receiver, body, status, due_at, created_at, of_client) \
                       VALUES (?1, ?2, ?3, ?3, CAST('{}' AS BLOB), 'pending', 0, 0, ?4)";
            let delivery_id = DeliveryId::of_run(run_id, &url).to_string();
            connection.execute(sql, (delivery_id, run_id.to_string(), url, source != "file")).unwrap();
        }
    }
    let clock = Clock::simulated(at(START));
    let courier = courier(&folder, &store, &clock, receivers_at_addresses());
    let stop = CancellationToken::new();
    let working = run(courier, Pulse::new("courier"), stop.clone());
    let looking = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        stop.cancel();
    };
    tokio::join!(async { working.await.unwrap() }, looking);
    for source in ["file", "api", "client"] {
        for (address, is_public) in addresses {
            let sql = "SELECT answer FROM attempts JOIN deliveries ON delivery = seq WHERE url LIKE ?1 AND attempt = 1";
            let kept: Option<String> = connection
                .query_row(sql, [format!("%{source}.example/{address}")], |row| row.get(0))
                .unwrap();
            assert_eq!(kept.is_some(), is_public || source == "file", "{source} {address}");
        }
    }
}
