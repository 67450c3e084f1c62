//! The checked-in schemas are those that the code makes. `UPDATE_SCHEMAS=1` writes them.

use std::fs;
use std::path::Path;

use werkpilot_config::schema;

#[test]
fn the_checked_in_schemas_are_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    let schemas = [
        ("registry.schema.json", schema::registry()),
        ("agent-registry.schema.json", schema::predecessor_registry()),
        ("config.schema.json", schema::config()),
    ];
    for (name, schema) in schemas {
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        let path = folder.join(name);
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let checked_in = fs::read_to_string(&path).unwrap_or_default();
        assert!(checked_in == text, "docs/schema/{name} is stale: run this test with UPDATE_SCHEMAS=1");
    }
}
