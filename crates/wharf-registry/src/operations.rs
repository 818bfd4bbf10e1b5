//! What the document of the API says about [`crate::routes`]. The registry's own API is OCI's.

use wharf_base::ErrorCode::NotFound;
use wharf_http::api::Operation;

use crate::{RepositoryView, Stats, TagView};

/// Images.
pub fn operations() -> Vec<Operation> {
    let images = [
        Operation::get("/registry/repositories", "listRepositories", "Lists repositories")
            .answers::<Vec<RepositoryView>>(),
        Operation::get("/registry/repositories/{name}/tags", "listTags", "Lists the tags of a repository")
            .routed_as("/registry/repositories/{*name}")
            .parameter("name", "Name of the repository; it may have slashes in it")
            .answers::<Vec<TagView>>()
            .fails(&[NotFound]),
        Operation::get("/registry/stats", "registryStats", "Says what the registry has done since its start")
            .answers::<Stats>(),
    ];
    Operation::tagged("images", images)
}
