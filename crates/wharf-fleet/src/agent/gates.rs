//! One at a time per name: instances that start together share networks, volumes and images, and the Engine makes two
//! networks of one name when it is asked twice at once (moby `CheckDuplicate` is only a look before the act).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

/// Locks by name; a lock that nobody holds or waits for is forgotten.
#[derive(Default)]
pub(crate) struct Gates(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl Gates {
    /// Waits until nobody else is at `name`.
    pub(crate) async fn pass(&self, name: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let gate = {
            let mut gates = self.0.lock().expect("no holder panics");
            gates.retain(|_, gate| gate.strong_count() > 0);
            match gates.get(name).and_then(Weak::upgrade) {
                Some(gate) => gate,
                None => {
                    let gate = Arc::new(tokio::sync::Mutex::new(()));
                    gates.insert(name.to_owned(), Arc::downgrade(&gate));
                    gate
                }
            }
        };
        gate.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_passes_at_a_time_and_other_names_do_not_wait() {
        let gates = Gates::default();
        let first = gates.pass("a").await;
        let _other = gates.pass("b").await;
        let second = gates.pass("a");
        tokio::pin!(second);
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        drop(first);
        drop(second.await);
        assert_eq!(gates.0.lock().unwrap().len(), 2, "forgotten only when the next one passes");
    }
}
