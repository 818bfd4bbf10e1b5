//! Operations as an OpenAPI 3.1 document.

use std::collections::BTreeSet;

use http::Method;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use wharf_base::ErrorCode;

use super::operation::{Access, Answer, Body, Operation, Trace};
use crate::{ErrorBody, Role};

const EVENT_STREAM: &str = "text/event-stream";
const JSON: &str = "application/json";

/// The document of these operations, in their order. `version` is the program's.
///
/// Besides what OpenAPI has it says, per operation, `x-wharf-role` (`open`, `viewer`, `deployer`, `admin`) and
/// `x-wharf-event`, the kind of event that the call leaves in the audit log.
pub fn document(version: &str, operations: &[Operation]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    generator.subschema_for::<ErrorBody>();
    let mut paths = Map::new();
    let mut tags: Vec<&str> = Vec::new();
    for operation in operations {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        item[operation.method.as_str().to_lowercase()] = describe(operation, &mut generator);
        if !tags.contains(&operation.tag) {
            tags.push(operation.tag);
        }
    }
    let mut schemas: Vec<(String, Value)> = generator.take_definitions(true).into_iter().collect();
    schemas.sort_by(|a, b| a.0.cmp(&b.0));
    let mut document = json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Wharf control API",
            "version": version,
            "description": "Everything that the console and the command line do. Requests carry `Authorization: Bearer <token>`; \
                            docs/guide/api.md has the table of roles. Fields may be added in any version: ignore what you don't know.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/api/v1" }],
        "security": [{ "token": [] }, { "session": [] }],
        "tags": tags.iter().map(|tag| json!({ "name": tag })).collect::<Vec<Value>>(),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "An API token: `wharf token create`." },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "wharf_session",
                    "description": "The console's session, from `POST /session`; changes must come from the console's own page.",
                },
            },
            "schemas": schemas.into_iter().collect::<Map<String, Value>>(),
        },
    });
    without_links(&mut document);
    document
}

fn describe(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = operation.braces().map(|name| path_parameter(operation, name)).collect();
    parameters.extend(query_parameters(operation));
    let mut value = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "x-wharf-role": operation.access.word(),
    });
    match operation.trace {
        Trace::Event(kind) => value["x-wharf-event"] = json!(kind),
        Trace::None(why) => value["x-wharf-no-event"] = json!(why),
        Trace::Reads => {}
    }
    if operation.access == Access::Open {
        value["security"] = json!([]);
    }
    if !parameters.is_empty() {
        value["parameters"] = Value::Array(parameters);
    }
    match &operation.body {
        None => {}
        Some(Body::Json(schema)) => {
            let schema = schema(generator);
            value["requestBody"] = json!({ "required": true, "content": { JSON: { "schema": schema } } });
        }
        Some(Body::Bytes(what)) => {
            value["requestBody"] = json!({
                "required": true, "description": what, "content": { "application/octet-stream": {} },
            });
        }
    }
    value["responses"] = Value::Object(responses(operation, generator));
    value
}

fn path_parameter(operation: &Operation, name: &str) -> Value {
    let what = operation.parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, what)| what);
    json!({ "name": name, "in": "path", "required": true, "description": what, "schema": { "type": "string" } })
}

/// The fields of the query's type.
fn query_parameters(operation: &Operation) -> Vec<Value> {
    let Some(query) = operation.query else { return Vec::new() };
    // A reference would leave the type among the components, where nobody would look for it.
    let mut alone = SchemaGenerator::new(SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    }));
    let schema = query(&mut alone).to_value();
    let required: BTreeSet<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    properties
        .into_iter()
        .map(|(name, mut schema)| {
            let what = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            json!({
                "name": name, "in": "query", "required": required.contains(name.as_str()),
                "description": what.unwrap_or_default(), "schema": schema,
            })
        })
        .collect()
}

fn responses(operation: &Operation, generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut responses = Map::new();
    let (status, response) = match &operation.answer {
        Answer::Empty(status) => (*status, json!({ "description": "Done, without a body" })),
        Answer::Json(status, schema) => {
            (*status, json!({ "description": "Done", "content": { JSON: { "schema": schema(generator) } } }))
        }
        Answer::Events(events) => {
            let names: Vec<String> = events.iter().map(|(name, _)| format!("`{name}`")).collect();
            let schemas: Vec<Value> = events.iter().map(|(_, schema)| schema(generator).to_value()).collect();
            let description =
                format!("Server-sent events: {}; the schema is of their `data`", names.join(", "));
            (
                200,
                json!({ "description": description, "content": { EVENT_STREAM: { "schema": { "anyOf": schemas } } } }),
            )
        }
        Answer::WebSocket(first) => (
            101,
            json!({
                "description": "A WebSocket: the client's first message is text with this JSON, then frames go both ways",
                "content": { JSON: { "schema": first(generator) } },
            }),
        ),
    };
    responses.insert(status.to_string(), response);
    for (status, codes) in refusals(operation) {
        let codes = codes.iter().map(|code| format!("`{code}`")).collect::<Vec<String>>().join(", ");
        responses.insert(
            status.to_string(),
            json!({
                "description": codes,
                "content": { JSON: { "schema": { "$ref": "#/components/schemas/ErrorBody" } } },
            }),
        );
    }
    responses
}

/// Codes by status: what the operation names, and what the layers around every operation refuse for.
fn refusals(operation: &Operation) -> Vec<(u16, Vec<ErrorCode>)> {
    let mut codes = operation.errors.clone();
    codes.push(ErrorCode::Internal);
    let changes = operation.method != Method::GET || matches!(operation.answer, Answer::WebSocket(_));
    if operation.access != Access::Open {
        codes.push(ErrorCode::Unauthenticated);
        // Too many wrong tokens from the caller's address.
        codes.push(ErrorCode::ResourceExhausted);
        if operation.access != Access::Role(Role::Viewer) || changes {
            codes.push(ErrorCode::PermissionDenied);
        }
    }
    if matches!(operation.body, Some(Body::Json(_))) {
        codes.extend([ErrorCode::InvalidArgument, ErrorCode::TooLarge]);
    }
    let mut by_status: Vec<(u16, Vec<ErrorCode>)> = Vec::new();
    for code in ErrorCode::ALL.into_iter().filter(|code| codes.contains(code)) {
        match by_status.iter_mut().find(|(status, _)| *status == code.http_status()) {
            Some((_, codes)) => codes.push(code),
            None => by_status.push((code.http_status(), vec![code])),
        }
    }
    by_status
}

/// Takes the brackets of rustdoc's links out of descriptions.
fn without_links(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("[`") => *text = text.replace("[`", "`").replace("`]", "`"),
        Value::Array(values) => values.iter_mut().for_each(without_links),
        Value::Object(map) => map.values_mut().for_each(without_links),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;

    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Page {
        /// How many.
        limit: Option<u32>,
        name: String,
    }

    #[test]
    fn an_operation_says_who_may_what_it_takes_and_how_it_fails() {
        let operation = Operation::post("/apps/{app}/scale", "scale", "Scales")
            .parameter("app", "Name")
            .query::<Page>()
            .takes::<Page>()
            .answers_with::<Vec<Page>>(202)
            .fails(&[ErrorCode::NotFound, ErrorCode::Conflict])
            .leaves("deploy_started");
        let document = document("1.2.3", &[operation]);
        let scale = &document["paths"]["/apps/{app}/scale"]["post"];
        assert_eq!(
            (&scale["x-wharf-role"], &scale["x-wharf-event"]),
            (&json!("deployer"), &json!("deploy_started"))
        );
        let names: Vec<&Value> =
            scale["parameters"].as_array().unwrap().iter().map(|parameter| &parameter["name"]).collect();
        assert_eq!(names, ["app", "limit", "name"]);
        assert_eq!(scale["parameters"][1]["description"], "How many.");
        assert_eq!(
            (&scale["parameters"][1]["required"], &scale["parameters"][2]["required"]),
            (&json!(false), &json!(true))
        );
        let statuses: Vec<&String> = scale["responses"].as_object().unwrap().keys().collect();
        assert_eq!(statuses, ["202", "400", "401", "403", "404", "409", "413", "429", "500"]);
        assert_eq!(
            scale["requestBody"]["content"]["application/json"]["schema"],
            json!({ "$ref": "#/components/schemas/Page" })
        );
        assert!(document["components"]["schemas"]["Page"]["properties"]["limit"].is_object());
    }

    #[test]
    fn what_is_open_needs_no_token() {
        let document = document("1", &[Operation::post("/join", "join", "Joins").open()]);
        let join = &document["paths"]["/join"]["post"];
        assert_eq!(join["security"], json!([]));
        let statuses: Vec<&String> = join["responses"].as_object().unwrap().keys().collect();
        assert_eq!(statuses, ["204", "500"]);
    }
}
