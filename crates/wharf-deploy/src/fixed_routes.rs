//! Routes that the operator wrote into wharf.yaml: no application may take their place.

use wharf_model::RouteSpec;

/// Host (`None`: every name) and path of each route, in the order of `balancer.routes`.
#[derive(Clone, Debug, Default)]
pub struct FixedRoutes(pub Vec<(Option<String>, String)>);

impl FixedRoutes {
    /// The first of `routes` that is here, with the key of the one here. A route of `before` counts as its owner's: what
    /// is there already can still be deployed, scaled and rolled back.
    pub(crate) fn taken(&self, before: &[RouteSpec], routes: &[RouteSpec]) -> Option<(String, String)> {
        self.0.iter().enumerate().find_map(|(index, (host, path))| {
            let is_here = |route: &&RouteSpec| route.is_place(host.as_deref(), path);
            let route = routes.iter().find(is_here)?;
            let is_old = before.iter().any(|route| is_here(&route));
            (!is_old).then(|| (route.place(), format!("balancer.routes[{index}]")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: Option<&str>, path: &str) -> RouteSpec {
        RouteSpec {
            service: "web".parse().unwrap(),
            release: 1,
            host: host.map(str::to_owned),
            path: path.to_owned(),
            balance: wharf_model::Balance::default(),
            timeout_ms: None,
            health_path: None,
            health: None,
        }
    }

    #[test]
    fn host_and_path_count_and_what_was_there_before_stays() {
        let fixed = FixedRoutes(vec![
            (None, "/status".to_owned()),
            (Some("Admin.example.com".to_owned()), "/".to_owned()),
        ]);
        let taken = |routes: &[RouteSpec]| fixed.taken(&[], routes);
        assert_eq!(taken(&[route(None, "/"), route(Some("shop.example.com"), "/status")]), None);
        let found = taken(&[route(None, "/"), route(Some("admin.example.com"), "/")]);
        assert_eq!(found, Some(("admin.example.com/".to_owned(), "balancer.routes[1]".to_owned())));
        let status = [route(None, "/status")];
        assert_eq!(taken(&status), Some(("*/status".to_owned(), "balancer.routes[0]".to_owned())));
        assert_eq!(fixed.taken(&status, &status), None);
    }
}
