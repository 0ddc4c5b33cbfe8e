//! The schema accepts what the check accepts.

use proptest::prelude::*;

use serde_json::{Value, json};

use crate::sample::{DOCUMENT, checked};
use crate::schema::json_schema;

#[test]
fn is_a_valid_schema_and_the_same_every_time() {
    let schema = json_schema(&DOCUMENT, "netkeel document");
    assert!(jsonschema::meta::is_valid(&schema));
    assert_eq!(
        schema.to_string(),
        json_schema(&DOCUMENT, "netkeel document").to_string()
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&schema).unwrap(), @r#"
    {
      "$schema": "https://json-schema.org/draft/2020-12/schema",
      "title": "netkeel document",
      "type": "object",
      "properties": {
        "version": {
          "description": "The version of the document's format: 1.",
          "anyOf": [
            {
              "type": "integer",
              "minimum": 1,
              "maximum": 1
            },
            {
              "type": "string",
              "pattern": "^-?(0|[1-9][0-9]*)$"
            }
          ]
        },
        "owner": {
          "description": "Who owns what it says.",
          "anyOf": [
            {
              "type": "string",
              "description": "a name"
            },
            {
              "type": "null"
            }
          ]
        },
        "link": {
          "description": "Interfaces.",
          "anyOf": [
            {
              "type": "object",
              "propertyNames": {
                "description": "An interface name."
              },
              "additionalProperties": {
                "anyOf": [
                  {
                    "type": "object",
                    "properties": {
                      "mtu": {
                        "description": "L3 bytes, or a budget.",
                        "anyOf": [
                          {
                            "type": "integer",
                            "minimum": 68,
                            "maximum": 65535,
                            "description": "bytes"
                          },
                          {
                            "type": "string",
                            "pattern": "^-?(0|[1-9][0-9]*)$"
                          },
                          {
                            "type": "object",
                            "properties": {
                              "underlay": {
                                "description": "What the layers go over.",
                                "anyOf": [
                                  {
                                    "type": "integer",
                                    "minimum": 68,
                                    "maximum": 65535,
                                    "description": "bytes"
                                  },
                                  {
                                    "type": "string",
                                    "pattern": "^-?(0|[1-9][0-9]*)$"
                                  },
                                  {
                                    "enum": [
                                      "default-route"
                                    ]
                                  }
                                ]
                              },
                              "layers": {
                                "description": "Outer to inner.",
                                "anyOf": [
                                  {
                                    "type": "array",
                                    "items": {
                                      "enum": [
                                        "ipip",
                                        "wireguard"
                                      ]
                                    }
                                  },
                                  {
                                    "type": "null"
                                  }
                                ]
                              }
                            },
                            "additionalProperties": false,
                            "required": [
                              "underlay"
                            ]
                          },
                          {
                            "type": "null"
                          }
                        ]
                      },
                      "rp_filter": {
                        "description": "Reverse path filter.",
                        "anyOf": [
                          {
                            "enum": [
                              "off",
                              "strict",
                              "loose",
                              0,
                              1,
                              2,
                              "0",
                              "1",
                              "2",
                              false,
                              true
                            ]
                          },
                          {
                            "type": "string",
                            "pattern": "^([fF][aA][lL][sS][eE]|[nN][oO]|[oO][fF][fF])$"
                          },
                          {
                            "type": "string",
                            "pattern": "^([tT][rR][uU][eE]|[yY][eE][sS]|[oO][nN])$"
                          },
                          {
                            "type": "null"
                          }
                        ]
                      },
                      "up": {
                        "description": "Administratively up.",
                        "anyOf": [
                          {
                            "type": "boolean"
                          },
                          {
                            "type": "string",
                            "pattern": "^([tT][rR][uU][eE]|[yY][eE][sS]|[oO][nN])$"
                          },
                          {
                            "type": "string",
                            "pattern": "^([fF][aA][lL][sS][eE]|[nN][oO]|[oO][fF][fF])$"
                          },
                          {
                            "type": "null"
                          }
                        ]
                      },
                      "kind": {
                        "description": "The kind.",
                        "anyOf": [
                          {
                            "enum": [
                              "veth",
                              "bridge"
                            ]
                          },
                          {
                            "type": "null"
                          }
                        ]
                      },
                      "addresses": {
                        "description": "Ensured; others are left.",
                        "anyOf": [
                          {
                            "type": "array",
                            "items": {
                              "type": "string",
                              "description": "an address with a prefix length"
                            }
                          },
                          {
                            "type": "null"
                          }
                        ]
                      }
                    },
                    "additionalProperties": false
                  },
                  {
                    "type": "null"
                  }
                ]
              }
            },
            {
              "type": "null"
            }
          ]
        },
        "sysctl": {
          "description": "Settings.",
          "anyOf": [
            {
              "type": "object",
              "propertyNames": {
                "description": "A key."
              },
              "additionalProperties": {
                "anyOf": [
                  {
                    "type": [
                      "boolean",
                      "integer",
                      "string"
                    ]
                  },
                  {
                    "type": "array",
                    "items": {
                      "type": [
                        "boolean",
                        "integer",
                        "string"
                      ]
                    },
                    "minItems": 1
                  },
                  {
                    "type": "null"
                  }
                ]
              }
            },
            {
              "type": "null"
            }
          ]
        },
        "$schema": {
          "type": "string",
          "description": "The place of this schema, for editors. netkeel does not read it."
        }
      },
      "additionalProperties": false,
      "required": [
        "version"
      ]
    }
    "#);
}

/// Random values, many of them valid, for every shape of the sample.
fn scalar() -> impl Strategy<Value = Value> {
    let words = "off|strict|loose|OFF|yes|True|veth|default-route|ipip|1460|01|-1|2|127\\.0\\.0\\.1/8";
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1..3_i64).prop_map(Value::from),
        (60..70_i64).prop_map(Value::from),
        (65530..65540_i64).prop_map(Value::from),
        words.prop_map(Value::from),
    ]
}

fn link() -> impl Strategy<Value = Value> {
    let list = || prop::collection::vec(scalar(), 0..3).prop_map(Value::from);
    let budget = prop::collection::btree_map("underlay|layers", prop_oneof![scalar(), list()], 0..3)
        .prop_map(|map| Value::Object(map.into_iter().collect()));
    let value = prop_oneof![4 => scalar(), 1 => list(), 1 => budget];
    prop::collection::btree_map("mtu|rp_filter|up|kind|addresses|x", value, 0..3)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// The schema accepts all that the check accepts. It may accept more only where a check
    /// function decides: ranges of numbers given as text, and texts.
    #[test]
    fn agrees_with_the_check(link in link(), vector in prop::collection::vec(scalar(), 0..3)) {
        let document = json!({ "version": 1, "link": { "eth0": link }, "sysctl": { "a": vector } });
        let text = document.to_string();
        let (_, report) = checked(&text);
        let valid = jsonschema::is_valid(&json_schema(&DOCUMENT, "x"), &document);
        let own = report.contains("is out of range") || report.contains("is not an address");
        prop_assert!(valid == report.is_empty() || valid && own, "{}\n{}", text, report);
    }
}
