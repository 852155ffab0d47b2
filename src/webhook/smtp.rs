//! One attempt to hand an e-mail to its server.

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransport, Error};
use lettre::{AsyncTransport, Message, Tokio1Executor};
use tokio::time::{Instant, timeout};

use super::answer::refused;
use crate::config::{EmailDestination, SmtpTls, WebhooksConfig, read_certificates};
use crate::domain::bounds::ATTEMPT_WAIT;
use crate::domain::delivery::{AttemptReport, AttemptResult, Fault, Phases};

/// An e-mail, and who takes it.
pub(super) struct Mail {
    pub(super) message: Message,
    pub(super) to: EmailDestination,
}

/// Makes one attempt, over a connection of its own: notifications are rare.
pub(super) async fn send(mail: Mail, settings: &WebhooksConfig) -> AttemptReport {
    let begun = Instant::now();
    let transport = match transport(&mail.to, settings) {
        Ok(transport) => transport,
        Err(detail) => return AttemptReport::unanswered(refused(detail, Fault::Ours)),
    };
    let result = match timeout(ATTEMPT_WAIT, transport.send(mail.message)).await {
        Ok(Ok(response)) => AttemptResult::Accepted { code: response.code().into() },
        Ok(Err(error)) => failed(&error),
        Err(_) => {
            let detail = format!("no answer within {}", humantime::format_duration(ATTEMPT_WAIT));
            refused(detail, Fault::Trouble)
        }
    };
    let answered = result.code().map(|_| begun.elapsed());
    AttemptReport {
        phases: Phases { head: answered, ..Phases::default() },
        ..AttemptReport::unanswered(result)
    }
}

fn transport(
    to: &EmailDestination,
    settings: &WebhooksConfig,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let mut tls = TlsParameters::builder(to.host.clone());
    if let Some(path) = &settings.ca_file {
        let pem = read_certificates(path).map_err(|problem| format!("webhooks.ca_file: {problem}"))?;
        let certificate = Certificate::from_pem(&pem);
        tls = tls.add_root_certificate(certificate.map_err(|error| format!("webhooks.ca_file: {error}"))?);
    }
    let tls = tls.build_rustls().map_err(|error| format!("TLS: {error}"))?;
    let tls = match to.tls {
        SmtpTls::Wrapped => Tls::Wrapper(tls),
        SmtpTls::StartTls => Tls::Required(tls),
        SmtpTls::IfOffered => Tls::Opportunistic(tls),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&to.host)
        .port(to.port)
        .tls(tls)
        .timeout(Some(ATTEMPT_WAIT));
    if let Some((user, password)) = &to.login {
        builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
    }
    Ok(builder.build())
}

/// Says what went wrong. What a server answers may quote the login, so only its code is kept.
fn failed(error: &Error) -> AttemptResult {
    let code = error.status().map(u16::from);
    let with_code = |detail: String, fault| AttemptResult::Refused { code, detail, retry_after: None, fault };
    match code {
        Some(code) if error.is_transient() => {
            with_code(format!("the mail server answered {code}"), Fault::Trouble)
        }
        Some(code) => with_code(format!("the mail server answered {code}"), Fault::Refused),
        None if error.is_timeout() => refused("the mail server fell silent".to_owned(), Fault::Trouble),
        None if error.is_tls() => refused(format!("TLS: {error}"), Fault::Tls),
        None if error.is_client() || error.is_response() => {
            refused(format!("the mail server: {error}"), Fault::Refused)
        }
        None => refused(format!("cannot connect: {}", cause(error)), Fault::NoConnection),
    }
}

fn cause(error: &Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}
