//! Commits of which it is not known whether they took effect: the connection to PostgreSQL ends before a COMMIT arrives, or before it
//! is confirmed. What was written is there once.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::shell::{SERVER, Shell};
use crate::clock::Clock;
use crate::domain::ids::InstallationId;
use crate::store::{DaemonLock, Execution, Place, Store};

/// The connection goes on.
const GO_ON: u8 = 0;
/// It ends instead of sending the next COMMIT.
const BEFORE: u8 = 1;
/// It ends once the next COMMIT is confirmed, which nobody hears.
const AFTER: u8 = 2;

/// A message that ends a transaction, as the client sends it: `Q`, the length, the text (PostgreSQL, "Message Formats").
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// How often a connection is cut; `AGENTCRON_CUTS` says otherwise.
const CUTS: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_on_a_connection_that_ends_is_there_once() {
    #[expect(clippy::disallowed_methods, reason = "a test is told by its runner where its store is")]
    let variable = |name: &str| std::env::var(name).ok();
    let Some(server) = variable(SERVER) else { return };
    let cuts = variable("AGENTCRON_CUTS").and_then(|cuts| cuts.parse().ok()).unwrap_or(CUTS);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agentcron.db");
    let cut = Arc::new(AtomicU8::new(GO_ON));
    let through = proxy(&server, Arc::clone(&cut));
    let schema = folder.path().file_name().unwrap().to_string_lossy().into_owned();
    let place = Place::on_server(&through, &schema).unwrap();
    let lock = Arc::new(DaemonLock::waived());
    let (execution, id) = (Execution::WriterThread, InstallationId::default());
    let store = Store::open_locked(&lock, &place, execution, id, Clock::system(), None).unwrap();
    for round in 0..cuts {
        cut.store(if round % 2 == 0 { BEFORE } else { AFTER }, Ordering::SeqCst);
        // An error would be as wrong as a second time: it is not known to have failed.
        store
            .write(|tx| {
                tx.execute("UPDATE installation SET backed_up_at = coalesce(backed_up_at, 0) + 1", ())?;
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(cut.load(Ordering::SeqCst), GO_ON, "it was cut");
        if round % 20 == 0 || round + 1 == cuts {
            assert_eq!(written(&path), vec![(round + 1).to_string()], "after {} cuts", round + 1);
        }
    }
}

fn written(path: &Path) -> Vec<String> {
    Shell::at(path).lines("SELECT backed_up_at FROM installation", ())
}

/// Returns the address of a server in front of this one, which cuts a connection as it is told.
fn proxy(server: &str, cut: Arc<AtomicU8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (host, rest) = server.split_once('@').unwrap().1.split_once('/').unwrap();
    let url = format!("postgres://agentcron@{}/{rest}", listener.local_addr().unwrap());
    let host = host.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let (server, cut) = (TcpStream::connect(&host).unwrap(), Arc::clone(&cut));
            std::thread::spawn(move || carry(client, server, &cut));
        }
    });
    url
}

/// Carries what both say, until one of them ends or the connection is to be cut.
fn carry(client: TcpStream, server: TcpStream, cut: &Arc<AtomicU8>) {
    let ends = || (client.try_clone().unwrap(), server.try_clone().unwrap());
    let is_deaf = Arc::new(AtomicU8::new(GO_ON));
    let ((mut to_client, mut from_server), deaf) = (ends(), Arc::clone(&is_deaf));
    let answers = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from_server.read(&mut buffer) {
            // The answer to the COMMIT has come, so it has taken effect.
            if deaf.load(Ordering::SeqCst) == AFTER || to_client.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = from_server.shutdown(Shutdown::Both);
    });
    let (mut from_client, mut to_server) = ends();
    let mut buffer = [0; 65536];
    while let Ok(read @ 1..) = from_client.read(&mut buffer) {
        let said = &buffer[..read];
        if said.windows(COMMIT.len()).any(|window| window == COMMIT) {
            match cut.swap(GO_ON, Ordering::SeqCst) {
                BEFORE => break,
                AFTER => is_deaf.store(AFTER, Ordering::SeqCst),
                _ => {}
            }
        }
        if to_server.write_all(said).is_err() {
            break;
        }
    }
    let _ = from_client.shutdown(Shutdown::Both);
    let _ = to_server.shutdown(Shutdown::Both);
    let _ = answers.join();
}
