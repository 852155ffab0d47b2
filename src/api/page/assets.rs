//! The style, the scripts and the icon. Each is addressed by its digest, so a browser keeps it for good and gets a new one with
//! a new version.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// A file that pages use.
pub(super) struct Asset {
    /// Such as `agentcron-1a2b3c4d.css`.
    pub(super) name: String,
    kind: &'static str,
    text: String,
}

/// All of them.
pub(super) struct Assets {
    pub(super) style: Asset,
    pub(super) script: Asset,
    pub(super) morph: Asset,
    pub(super) icon: Asset,
    pub(super) icon_bad: Asset,
}

pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let morph = Asset::of("idiomorph", "js", include_str!("static/idiomorph.js").to_owned());
    // The script imports the other by its name, which has a digest as well.
    let script = include_str!("static/agentcron.js").replace("./idiomorph.js", &format!("./{}", morph.name));
    let icon = |name, colour: &str| {
        Asset::of(name, "svg", include_str!("static/icon.svg").replace("#217a3c", colour))
    };
    Assets {
        style: Asset::of("agentcron", "css", include_str!("static/agentcron.css").to_owned()),
        script: Asset::of("agentcron", "js", script),
        morph,
        icon: icon("icon", "#217a3c"),
        icon_bad: icon("icon-bad", "#c0352b"),
    }
});

impl Asset {
    fn of(name: &str, extension: &str, text: String) -> Self {
        let digest = Sha256::digest(&text);
        let digest: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let kind = match extension {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        };
        Self { name: format!("{name}-{digest}.{extension}"), kind, text }
    }
}

pub(super) async fn asset(Path(file): Path<String>) -> Response {
    let Assets { style, script, morph, icon, icon_bad } = &*ASSETS;
    match [style, script, morph, icon, icon_bad].into_iter().find(|asset| asset.name == file) {
        Some(asset) => {
            let headers =
                [(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
            (headers, asset.text.as_str()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
