//! What every part of Wharf stands on.
//!
//! Small values with one meaning each: [`Digest`], [`ByteSize`], durations as Compose writes them, the closed
//! [`ErrorCode`], and suggestions for misspelt words. With the feature `runtime` also [`Clock`], [`Tasks`] and
//! [`Backoff`], which need tokio; the pure-language crates leave it off.

pub mod addresses;
mod byte_size;
mod digest;
pub mod duration;
mod error_code;
#[cfg(feature = "runtime")]
mod power_loss;
mod suggest;

#[cfg(feature = "runtime")]
mod backoff;
#[cfg(feature = "runtime")]
mod clock;
#[cfg(feature = "runtime")]
mod tasks;

pub use byte_size::{ByteSize, ByteSizeError};
pub use digest::{Digest, DigestError, hex};
pub use error_code::ErrorCode;
pub use suggest::suggest;

#[cfg(feature = "runtime")]
pub use backoff::Backoff;
#[cfg(feature = "runtime")]
pub use clock::{Clock, ManualClock, SystemClock, UnixMillis, format_utc};
#[cfg(feature = "runtime")]
pub use power_loss::power_loss;
#[cfg(feature = "runtime")]
pub use tasks::{Shutdown, TaskReport, Tasks};
