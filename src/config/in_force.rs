//! What is in force when files have mistakes: what is understood, and for the rest what was last good. Nothing is opened
//! or granted beyond that.

use std::collections::BTreeSet;
use std::path::Path;

use super::certificates::read_certificates;
use super::environment::Environment;
use super::errors::{ConfigError, listed, quoted};
use super::last_good::{LastGood, Settings};
use super::load::Loaded;
use super::loss::{KeptCron, KeptCrons, Loss};
use super::settings::Config;
use super::store_location::StoreLocation;
use super::unit_places::default_store;
use crate::domain::printable::on_one_line;

impl Loaded {
    /// Returns where the store is. If `[store]` is not understood, that is the place that it names all the same, or a
    /// database that exists already.
    pub fn store_location(&self, environment: &Environment) -> Option<StoreLocation> {
        if let Some(store) = &self.settings.store {
            return Some(store.location.clone());
        }
        let is_whole = self.named_store.is_some() && self.partial.store.is_some();
        let location =
            self.named_store.clone().unwrap_or_else(|| StoreLocation::File(default_store(environment)));
        (is_whole || location.file().is_none_or(Path::exists)).then_some(location)
    }

    /// Returns the same without a section whose `ca_file` holds no certificates. Only a daemon has to read them.
    pub fn with_certificates(mut self) -> Self {
        let Settings { backend, webhooks, .. } = &self.settings;
        let of_backend = backend.as_ref().and_then(|backend| backend.ca_file.clone());
        let of_webhooks = webhooks.as_ref().and_then(|webhooks| webhooks.ca_file.clone());
        let ca_files = [(Loss::Backend, "backend", of_backend), (Loss::Webhooks, "webhooks", of_webhooks)];
        for (loss, section, ca_file) in ca_files {
            let Some(Err(problem)) = ca_file.map(|path| read_certificates(&path)) else { continue };
            let mistake = ConfigError::of_file(self.path.as_path(), format!("{section}.ca_file: {problem}"));
            self.mistakes.push(ConfigError { losses: vec![loss.clone()], ..mistake });
            self.settings = self.settings.without(|lost| *lost == loss);
            self.saved.retain(|(saved, _)| *saved != section);
        }
        self
    }

    /// Returns the configuration that is in force. It is `None` only if nothing at all is known of a section.
    pub fn in_force(self, last: LastGood) -> Option<Config> {
        let LastGood { known, mut otherwise } = last;
        if let Some(http) = &mut otherwise.http {
            http.socket = self.named_socket.or(http.socket.take());
        }
        otherwise.webhooks = self.partial.webhooks.or(otherwise.webhooks);
        let losses = self.mistakes.iter().chain(&self.warnings).flat_map(|mistake| &mistake.losses);
        let kept = KeptCrons::new(losses, &self.sources.files);
        let understood = self.settings.or(known);
        let unknown = understood.absent();
        let settings = understood.or(otherwise);
        Some(Config {
            path: self.path,
            backend: settings.backend?,
            store: settings.store?,
            logged_runs: settings.logged_runs?,
            http: settings.http?,
            webhooks: settings.webhooks?,
            notify: settings.notify?,
            shutdown_grace: settings.shutdown_grace?,
            crons: self.crons,
            without_values: self.without_values,
            clean_files: self.clean_files,
            warnings: self.warnings,
            sources: self.sources,
            mistakes: self.mistakes,
            kept,
            unknown,
            saved: self.saved,
        })
    }
}

impl Config {
    /// Returns the configuration of a daemon that shares its store: what it has no value for is part of it, because another
    /// may have that.
    #[must_use]
    pub fn of_several(mut self) -> Self {
        self.crons.append(&mut self.without_values);
        self.crons.sort_by(|a, b| a.name.cmp(&b.name));
        for mistake in self.mistakes.iter_mut().filter(|mistake| mistake.wants_value) {
            let losses = std::mem::take(&mut mistake.losses);
            mistake.losses = losses.into_iter().map(Loss::for_want_of_value).collect();
        }
        let losses = self.mistakes.iter().chain(&self.warnings).flat_map(|mistake| &mistake.losses);
        self.kept = KeptCrons::new(losses, &self.sources.files);
        self
    }

    /// Returns whether all of it is understood that several daemons have in common.
    pub fn is_whole(&self) -> bool {
        let mut losses = self.mistakes.iter().flat_map(|mistake| &mistake.losses);
        self.kept.is_empty() && !self.holds_webhooks() && !losses.any(|loss| *loss == Loss::Store)
    }

    /// Returns whether a mistake may concern the switch of all webhooks, or where they may be sent.
    pub fn holds_webhooks(&self) -> bool {
        let mut losses = self.mistakes.iter().flat_map(|mistake| &mistake.losses);
        losses.any(|loss| matches!(loss, Loss::Http | Loss::Webhooks))
    }

    /// Returns every mistake with what becomes of it, given the crons that go on as they were.
    pub fn describe_mistakes(&self, kept: &[KeptCron]) -> String {
        listed(&self.mistakes, |mistake| {
            let consequences = mistake.losses.iter().map(|loss| self.consequence(loss, kept));
            mistake.to_string() + &consequences.map(|text| format!("\n  = {text}")).collect::<String>()
        })
    }

    /// Returns what becomes of everything that the mistakes take away.
    pub fn consequences(&self, kept: &[KeptCron]) -> Vec<String> {
        let losses: BTreeSet<&Loss> = self.mistakes.iter().flat_map(|mistake| &mistake.losses).collect();
        let mut consequences: Vec<String> =
            losses.into_iter().map(|loss| self.consequence(loss, kept)).collect();
        let firing = self.crons.iter().filter(|cron| cron.enabled).count();
        if firing > 0 {
            consequences.push(format!("crons that fire as the files have them: {firing}"));
        }
        consequences
    }

    /// Returns what a daemon does without what is lost, as a sentence without its full stop.
    fn consequence(&self, loss: &Loss, kept: &[KeptCron]) -> String {
        let is_known = !self.unknown.contains(loss);
        let or = |known: &str, unknown: &str| if is_known { known.to_owned() } else { unknown.to_owned() };
        let going_on = kept.iter().filter(|cron| loss.concerns(cron)).count();
        match loss {
            Loss::Http => or(
                "webhooks are held; port, keys and origins stay as they were",
                "webhooks are held; no port is open",
            ),
            Loss::Webhooks => "webhooks are held".to_owned(),
            Loss::Notify => or("notifications stay as they were", "nobody is notified"),
            Loss::Backend => or("[backend] stays as it was", "no run is sent"),
            Loss::Store => "the store stays where it is".to_owned(),
            Loss::Log => or("[log] stays as it was", "[log] has its defaults"),
            Loss::ShutdownGrace => or("shutdown_grace stays as it was", "shutdown_grace has its default"),
            Loss::Cron(name) if going_on > 0 => format!("cron {} goes on as it was", quoted(name)),
            Loss::Cron(name) => format!("cron {} does not fire", quoted(name)),
            Loss::WebhookOf(Some(name)) => {
                format!("cron {} fires; its webhook waits for the value", quoted(name))
            }
            Loss::WebhookOf(None) => "crons fire; their webhook waits for the value".to_owned(),
            Loss::ValueOf(Some(name)) => {
                format!("the runs of cron {} are left to daemons that have the value", quoted(name))
            }
            Loss::ValueOf(None) => "runs are left to daemons that have the value".to_owned(),
            Loss::Crons if going_on == 0 => "no cron of the files fires".to_owned(),
            Loss::File(file) if going_on == 0 => {
                let file = on_one_line(&file.display().to_string());
                format!("only those crons of {file} fire that are understood")
            }
            Loss::Crons | Loss::Includes | Loss::File(_) => match going_on {
                0 => "crons of other files do not fire".to_owned(),
                1 => "1 cron goes on as it was".to_owned(),
                count => format!("{count} crons go on as they were"),
            },
        }
    }
}
