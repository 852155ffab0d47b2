//! A mail server that keeps what it gets, or says nothing.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use super::growing_list::GrowingList;

/// A mail as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Headers and text.
    pub(crate) text: String,
}

pub(crate) struct MailServer {
    address: SocketAddr,
    mails: Arc<GrowingList<Mail>>,
    connections: Arc<GrowingList<()>>,
}

impl MailServer {
    pub(crate) fn start() -> Self {
        Self::start_as(|stream, mails| drop(take_mails(stream, mails)))
    }

    /// Accepts connections, and says nothing.
    pub(crate) fn start_silent() -> Self {
        Self::start_as(|stream, _| drop(BufReader::new(stream).lines().last()))
    }

    fn start_as(serve: fn(TcpStream, &GrowingList<Mail>)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (mails, connections) = (Arc::new(GrowingList::new()), Arc::new(GrowingList::new()));
        let (kept, counted) = (Arc::clone(&mails), Arc::clone(&connections));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.push(());
                let mails = Arc::clone(&kept);
                std::thread::spawn(move || serve(stream, &mails));
            }
        });
        Self { address, mails, connections }
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Mail> {
        self.mails.wait_for(count, &format!("{count} mails")).await
    }

    pub(crate) async fn wait_for_connection(&self) {
        self.connections.wait_for(1, "a connection").await;
    }
}

/// Speaks RFC 5321, as far as a client with one mail needs it.
fn take_mails(stream: TcpStream, mails: &GrowingList<Mail>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let say = |text: &str| (&stream).write_all(format!("{text}\r\n").as_bytes());
    let (mut from, mut to) = (String::new(), Vec::new());
    say("220 mail.test ESMTP")?;
    while let Some(line) = lines.next() {
        let line = line?;
        let (verb, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => say("250-mail.test\r\n250 8BITMIME")?,
            "MAIL" => {
                from = address(rest);
                say("250 ok")?;
            }
            "RCPT" => {
                to.push(address(rest));
                say("250 ok")?;
            }
            "DATA" => {
                say("354 go on")?;
                let text: Vec<String> =
                    lines.by_ref().map_while(Result::ok).take_while(|line| line != ".").collect();
                mails.push(Mail { from: from.clone(), to: std::mem::take(&mut to), text: text.join("\n") });
                say("250 taken")?;
            }
            "QUIT" => return say("221 bye"),
            _ => say("502 unknown")?,
        }
    }
    Ok(())
}

fn address(text: &str) -> String {
    text.split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or("", |(address, _)| address)
        .to_owned()
}
