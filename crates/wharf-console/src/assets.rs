//! The embedded files.

use std::borrow::Cow;

use rust_embed::RustEmbed;
use wharf_base::hex;

#[derive(RustEmbed)]
#[folder = "../../console/dist"]
#[allow_missing = true]
struct Dist;

/// One file, as it goes out.
pub(crate) struct Asset {
    pub(crate) bytes: Cow<'static, [u8]>,
    /// SHA-256 of the bytes, in hex: the entity tag.
    pub(crate) hash: String,
    pub(crate) media_type: &'static str,
    pub(crate) is_gzip: bool,
}

/// Whether this build has a console.
pub fn is_built() -> bool {
    Dist::get("index.html").is_some()
}

/// The file at `path`, without a leading slash; its compressed twin if there is one and `takes_gzip`.
pub(crate) fn find(path: &str, takes_gzip: bool) -> Option<Asset> {
    // `NAME.gz` is not a file of its own, and rust-embed itself refuses paths that leave the directory.
    if path.ends_with(".gz") {
        return None;
    }
    let gzip = takes_gzip.then(|| Dist::get(&format!("{path}.gz"))).flatten();
    let is_gzip = gzip.is_some();
    let file = gzip.or_else(|| Dist::get(path))?;
    let hash = hex(&file.metadata.sha256_hash());
    Some(Asset { bytes: file.data, hash, media_type: media_type(path), is_gzip })
}

/// The closed list of what the build makes; `nosniff` makes a wrong one show at once.
fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
