//! All balancers as one: the local one and those that joined, for the port `Pools`.

use std::sync::Arc;

use futures_util::future::select_all;
use tokio::sync::watch;
use wharf_base::Tasks;
use wharf_model::PoolsObserved;
use wharf_model::ports::Pools;

type Source = watch::Receiver<Arc<PoolsObserved>>;

/// Balancers from several sources.
pub(crate) struct Merged(Source);

impl Pools for Merged {
    fn observed(&self) -> Source {
        self.0.clone()
    }
}

/// Follows `sources` and shows them as one list, in their order.
pub(crate) fn merge(mut sources: Vec<Source>, tasks: &Tasks) -> Merged {
    let (sender, receiver) = watch::channel(Arc::new(snapshot(&mut sources)));
    let shutdown = tasks.shutdown();
    tasks.spawn("pools", async move {
        while !sources.is_empty() {
            let changes = sources.iter_mut().map(|source| Box::pin(source.changed()));
            let (result, index) = tokio::select! {
                (result, index, _) = select_all(changes) => (result, index),
                () = shutdown.cancelled() => return,
            };
            if result.is_err() {
                // That part has stopped; what it showed last is no longer so.
                sources.remove(index);
            }
            sender.send_replace(Arc::new(snapshot(&mut sources)));
        }
    });
    Merged(receiver)
}

fn snapshot(sources: &mut [Source]) -> PoolsObserved {
    let balancers =
        sources.iter_mut().flat_map(|source| source.borrow_and_update().balancers.clone()).collect();
    PoolsObserved { balancers }
}

#[cfg(test)]
mod tests {
    use wharf_model::BalancerView;

    use super::*;

    fn view(name: &str, generation: u64) -> Arc<PoolsObserved> {
        let balancer = BalancerView { name: name.to_owned(), generation, ..BalancerView::default() };
        Arc::new(PoolsObserved { balancers: vec![balancer] })
    }

    #[tokio::test]
    async fn a_change_of_any_source_is_seen_and_one_that_ends_is_gone() {
        let tasks = Tasks::new();
        let (one, one_seen) = watch::channel(view("one", 1));
        let (two, two_seen) = watch::channel(view("two", 1));
        let mut merged = merge(vec![one_seen, two_seen], &tasks).observed();
        assert!(!merged.borrow_and_update().have_applied(2));
        one.send_replace(view("one", 2));
        merged.wait_for(|seen| seen.balancers[0].generation == 2).await.unwrap();
        assert!(!merged.borrow().have_applied(2), "the other has not");
        drop(two);
        merged.wait_for(|seen| seen.have_applied(2) && seen.balancers.len() == 1).await.unwrap();
    }
}
