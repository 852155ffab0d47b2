//! Finds the known word that is nearest to an unknown one.

/// Returns the known word that was most likely meant, or `None` if none is near enough.
pub fn nearest<'k>(got: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // A longer key is not worth the quadratic comparison, and no known word is near it.
    if got.len() > 64 {
        return None;
    }
    let got = got.to_ascii_lowercase();
    // A third of the word may be wrong: `timezon`, `time_zone` and `shedule` are near, `foo` is near nothing.
    let chars = got.chars().count();
    let allowed = (chars / 3).max(1);
    known
        .into_iter()
        // Each character too many or too few counts.
        .filter(|word| word.chars().count().abs_diff(chars) <= allowed)
        .map(|word| (strsim::osa_distance(&got, word), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, word)| word)
}

/// Returns the hint for an unknown word: the nearest known one, or else all of them.
pub(super) fn did_you_mean<'k>(got: &str, known: impl IntoIterator<Item = &'k str> + Clone) -> String {
    match nearest(got, known.clone()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("known: {}", known.into_iter().collect::<Vec<_>>().join(", ")),
    }
}
