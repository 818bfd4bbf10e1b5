//! The web console: the files that `npm run build` leaves in `console/dist`, embedded in the binary.
//!
//! [`routes`] answers every path that no other part has taken: files by their path, and `index.html` for the places of
//! the console (`/deploys/7`), which its own router then shows. Names under `/assets/` carry a hash of their content and
//! are cached for good; everything else is asked for again with an `ETag`. Text comes compressed where the client takes
//! gzip: the build leaves `NAME.gz` beside `NAME`.
//!
//! Without `console/dist` (no node on the machine that built) the page says how to make it. A debug build reads the
//! directory at run time, so that a rebuilt console is there at once.

mod answer;
mod assets;
mod routes;

pub use assets::is_built;
pub use routes::routes;
