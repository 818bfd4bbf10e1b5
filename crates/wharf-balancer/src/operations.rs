//! What the document of the API says about [`crate::routes`].

use wharf_http::api::Operation;
use wharf_model::PoolsObserved;

use crate::routes::TableView;

/// What the balancers do.
pub fn operations() -> Vec<Operation> {
    let traffic = [
        Operation::get("/traffic", "showTraffic", "Says what was counted per release")
            .answers::<PoolsObserved>(),
        Operation::get("/traffic/stream", "streamTraffic", "Streams the same, once a second")
            .sends::<PoolsObserved>("traffic"),
        Operation::get("/routes", "listRoutes", "Lists routes with the live state of their targets")
            .answers::<TableView>(),
    ];
    Operation::tagged("traffic", traffic)
}
