//! The paths of the web page: which are its own, and what leads from one to another whatever prefix is before them.

/// The folder of all pages, without the slash.
pub(super) const ROOT: &str = "/agentcron";

/// Returns whether this path belongs to the page.
pub(super) fn is_of_page(path: &str) -> bool {
    below(path).is_some()
}

/// Returns whether this path is needed before anybody has shown who they are.
pub(super) fn is_entrance(path: &str) -> bool {
    below(path)
        .is_some_and(|rest| matches!(rest, "/login" | "/logout" | "/view") || rest.starts_with("/static/"))
}

pub(super) fn below(path: &str) -> Option<&str> {
    path.strip_prefix(ROOT).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns what leads from a page to the folder of all pages: empty, or `../` for each folder between.
pub(super) fn way_up(path: &str) -> String {
    match below(path) {
        Some("") => "agentcron/".to_owned(),
        Some(rest) => "../".repeat(rest.matches('/').count().saturating_sub(1)),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_up_from_every_depth() {
        for (path, up) in [
            ("/agentcron", "agentcron/"),
            ("/agentcron/", ""),
            ("/agentcron/crons", ""),
            ("/agentcron/crons/x", "../"),
        ] {
            assert_eq!(way_up(path), up, "{path}");
        }
        assert!(!is_of_page("/agentcrons") && is_of_page("/agentcron") && is_of_page("/agentcron/x"));
        assert!(is_entrance("/agentcron/login") && !is_entrance("/agentcron/login/x"));
    }
}
