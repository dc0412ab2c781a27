//! The committed OpenAPI documents are what the routers serve.

use std::path::Path;

use super::super::openapi_files;

#[test]
fn the_committed_documents_are_what_the_routers_serve() {
    for (name, now) in openapi_files().unwrap() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == now,
            "docs/{name} is not what the router serves: cargo run -p livehelp --example openapi docs"
        );
    }
}
