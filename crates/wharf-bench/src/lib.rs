//! Open-loop HTTP load: requests are sent when they are due, whether or not the server keeps up.
//!
//! Request number k is due at `start + k / rate`. Its latency counts from then, so a server that stalls for a second
//! is charged with every request that was due in that second ("coordinated omission" can't happen). A request that
//! finds no idle connection opens one, up to a bound; beyond it requests wait in line, on their own clock.
//!
//! [`Load::start`] runs the generator in a thread of its own, because lateness of the generator would be counted as
//! the server's. [`LoadHandle`] shows figures while it runs, begins named phases, and ends with a [`LoadReport`].
//!
//! Limits: connections, requests waiting (rate × timeout), phases (64), failures that are listed one by one (10,000;
//! all are counted), head of an answer (64 KiB). Bodies are read and thrown away.

mod error;
mod load;
mod record;
mod report;
mod response;

pub use error::Error;
pub use load::{Load, LoadConfig, LoadHandle};
pub use report::{Failure, FailureCause, Failures, LoadReport, LoadSnapshot, PhaseReport, RecentReport};
