//! Links of the OpenAPI documents: from the answer that has an id to the operations that ask for
//! it. So a program that reads the contract knows where to go on, and a tester comes past the first
//! step.
//!
//! Lives here: links alone. Not here: the rest of what the documents promise (`promises`, which
//! calls this).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// An operation that asks for ids in its path.
struct Taker {
    operation: String,
    /// Names of the ids.
    ids: Vec<String>,
}

/// Draws the links: from what a create made, and from the first item of a list for what no create
/// makes.
pub(super) fn draw(document: &mut Value) {
    let takers = takers(document);
    let schemas = document["components"]["schemas"].clone();
    let made: Vec<String> = operations(document)
        .filter_map(|(path, operation)| made_by(path, operation, &schemas))
        .collect();
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let place = if let Some(id) = made_by(path, operation, &schemas) {
                ("201", format!("$response.body#/{id}"), id)
            } else if let Some(id) = listed_by(operation, &schemas, &takers)
                && !made.contains(&id)
            {
                ("200", format!("$response.body#/items/0/{id}"), id)
            } else {
                continue;
            };
            let links = links(path, place.2.as_str(), &place.1, &takers);
            operation["responses"][place.0]["links"] = links;
        }
    }
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let operations = item.as_object().into_iter().flat_map(Map::values);
        operations.map(move |operation| (path.as_str(), operation))
    })
}

fn takers(document: &Value) -> Vec<Taker> {
    let operations = operations(document).filter_map(|(path, operation)| {
        let ids = ids_of(path);
        let operation = operation["operationId"].as_str()?.to_owned();
        (!ids.is_empty()).then_some(Taker { operation, ids })
    });
    operations.collect()
}

/// The ids in a path, in its order.
fn ids_of(path: &str) -> Vec<String> {
    let ids = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    ids.map(str::to_owned).collect()
}

/// The id of what is made, where the answer has it: `conversation_id` at `/v1/conversations`.
fn made_by(path: &str, operation: &Value, schemas: &Value) -> Option<String> {
    let schema = answer(operation, "201", schemas)?;
    let collection = path.rsplit(['/', '-']).next()?;
    let id = format!("{}_id", collection.trim_end_matches('s'));
    schema["properties"].get(&id).is_some().then_some(id)
}

/// The id that the items of a list have and some path asks for.
fn listed_by(operation: &Value, schemas: &Value, takers: &[Taker]) -> Option<String> {
    let list = answer(operation, "200", schemas)?;
    let item = follow(&list["properties"]["items"]["items"], schemas);
    let required = item["required"].as_array()?.iter().filter_map(Value::as_str);
    let mut own = required.filter(|field| field.ends_with("_id"));
    let is_asked = |id: &&str| takers.iter().any(|taker| taker.ids.iter().any(|of| of == id));
    own.find(is_asked).map(str::to_owned)
}

fn answer<'a>(operation: &'a Value, status: &str, schemas: &'a Value) -> Option<&'a Value> {
    let media = &operation["responses"][status]["content"]["application/json"];
    media.get("schema").map(|schema| follow(schema, schemas))
}

fn follow<'a>(schema: &'a Value, schemas: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|place| place.rsplit('/').next()) {
        Some(name) => &schemas[name],
        None => schema,
    }
}

/// A link to each operation that asks for this id, and for nothing that this path does not know.
fn links(path: &str, id: &str, from: &str, takers: &[Taker]) -> Value {
    let known = ids_of(path);
    let mut links = BTreeMap::new();
    for Taker { operation, ids } in
        takers.iter().filter(|taker| taker.ids.iter().any(|of| of == id))
    {
        let source = |of: &String| match of == id {
            true => Some(from.to_owned()),
            false => known.contains(of).then(|| format!("$request.path.{of}")),
        };
        let parameters: Option<BTreeMap<&String, String>> =
            ids.iter().map(|of| Some((of, source(of)?))).collect();
        if let Some(parameters) = parameters {
            links.insert(operation, json!({ "operationId": operation, "parameters": parameters }));
        }
    }
    json!(links)
}

#[cfg(test)]
mod tests {
    use super::super::openapi_files;
    use super::*;

    #[test]
    fn whatever_asks_for_an_id_is_linked_from_where_the_id_comes_from() {
        // Ids that no answer of this contract hands out: they stand in the page that embeds the
        // widget.
        let elsewhere = ["get_widget"];
        for (_, text) in openapi_files().unwrap() {
            let document: Value = serde_json::from_str(&text).unwrap();
            let takers = takers(&document);
            let mut linked = Vec::new();
            for (path, operation) in operations(&document) {
                let answers = operation["responses"].as_object().unwrap().values();
                let links = answers.filter_map(|answer| answer["links"].as_object()).flatten();
                for (name, link) in links {
                    assert_eq!(link["operationId"], *name);
                    let taker = takers.iter().find(|taker| taker.operation == *name).unwrap();
                    let given: Vec<&String> =
                        link["parameters"].as_object().unwrap().keys().collect();
                    let mut asked: Vec<&String> = taker.ids.iter().collect();
                    asked.sort();
                    assert_eq!(given, asked, "{path}: {name}");
                    linked.push(name.clone());
                }
            }
            for taker in takers {
                let is_linked = linked.contains(&taker.operation);
                assert!(
                    is_linked || elsewhere.contains(&taker.operation.as_str()),
                    "{}",
                    taker.operation
                );
            }
        }
    }
}
