//! What is in a request that nobody may read in an echo of it.

/// Shorter ones stand in every text, and are no secrets.
const SECRET_BYTES_MIN: usize = 4;

/// The secrets of one request, in the forms an echo may have.
#[derive(Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    pub(super) fn add(&mut self, secret: impl Into<String>) {
        let secret = secret.into();
        if secret.len() >= SECRET_BYTES_MIN {
            self.0.push(secret);
        }
    }

    /// The text without any of them.
    pub(super) fn blot_out(&self, text: &str) -> String {
        let mut longest_first: Vec<&str> = self.0.iter().map(String::as_str).collect();
        longest_first.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        longest_first.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}
