//! A mail server that keeps what it gets, or says nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::{ServerConnection, StreamOwned};

use super::growing_list::GrowingList;
use super::tls::server_config;

/// A mail as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Headers and text.
    pub(crate) text: String,
    /// User and password, with a NUL before each.
    pub(crate) login: Option<String>,
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

    /// Speaks TLS from the beginning, with the certificate that `mail-ca.pem` has signed for `localhost`.
    pub(crate) fn start_with_tls() -> Self {
        Self::start_as(|stream, mails| {
            let connection = ServerConnection::new(server_config("mail.pem", "mail.key")).unwrap();
            drop(take_mails(StreamOwned::new(connection, stream), mails));
        })
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

    pub(crate) fn tls_url(&self) -> String {
        format!("smtps://localhost:{}", self.address.port())
    }

    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Mail> {
        self.mails.wait_for(count, &format!("{count} mails")).await
    }

    pub(crate) async fn wait_for_connection(&self) {
        self.connections.wait_for(1, "a connection").await;
    }
}

/// Speaks RFC 5321, as far as a client with one mail needs it.
fn take_mails(stream: impl Read + Write, mails: &GrowingList<Mail>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut from, mut to, mut login) = (String::new(), Vec::new(), None);
    say(stream.get_mut(), "220 mail.test ESMTP")?;
    while let Some(line) = next_line(&mut stream)? {
        let (verb, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
        let answer = match verb.to_ascii_uppercase().as_str() {
            "EHLO" => "250-mail.test\r\n250-AUTH PLAIN\r\n250 8BITMIME",
            // RFC 4616: nothing, the user and the password, with a NUL between.
            "AUTH" => {
                let given = rest.rsplit(' ').next().unwrap_or_default();
                login = STANDARD.decode(given).ok().and_then(|given| String::from_utf8(given).ok());
                "235 welcome"
            }
            "MAIL" => {
                from = address(rest);
                "250 ok"
            }
            "RCPT" => {
                to.push(address(rest));
                "250 ok"
            }
            "DATA" => {
                say(stream.get_mut(), "354 go on")?;
                let mut text = Vec::new();
                while let Some(line) = next_line(&mut stream)?.filter(|line| line != ".") {
                    text.push(line);
                }
                let to = std::mem::take(&mut to);
                mails.push(Mail { from: from.clone(), to, text: text.join("\n"), login: login.clone() });
                "250 taken"
            }
            "QUIT" => return say(stream.get_mut(), "221 bye"),
            _ => "502 unknown",
        };
        say(stream.get_mut(), answer)?;
    }
    Ok(())
}

fn say(to: &mut impl Write, text: &str) -> std::io::Result<()> {
    write!(to, "{text}\r\n")?;
    to.flush()
}

fn next_line(stream: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let is_over = stream.read_line(&mut line)? == 0;
    Ok((!is_over).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn address(text: &str) -> String {
    text.split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or("", |(address, _)| address)
        .to_owned()
}
