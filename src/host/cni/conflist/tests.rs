//! Tests of reading and editing a configuration.

use proptest::prelude::*;

use std::path::Path;

use serde_json::json;

use crate::cni::configuration::Contents;
use crate::cni::conflist::{edit, read, read_file};
use netkeel_core::error::ErrorKind;
use netkeel_core::fact::Value;

fn set(text: &str, kind: &str, mtu: i64) -> String {
    edit(text, kind, Some(&Value::Number(mtu))).unwrap()
}

fn shown(text: &str) -> String {
    match read(text).reading {
        Contents::Plugins(plugins) => plugins
            .iter()
            .map(|plugin| {
                let mtu = plugin.mtu.as_ref().map_or("none".to_owned(), ToString::to_string);
                format!("{} {}: {mtu}\n", plugin.kind, plugin.at)
            })
            .collect(),
        Contents::Unread(why) => format!("unread: {why}"),
        Contents::Invalid(why) => format!("invalid: {why}"),
        Contents::Template(placeholder) => format!("template: {placeholder}"),
    }
}

const CALICO: &str = r#"{
  "name": "k8s-pod-network",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "calico",
      "ipam": { "type": "calico-ipam" },
      "policy": { "type": "k8s" }
    },
    {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}}
  ]
}
"#;

#[test]
fn a_new_mtu_is_one_new_line_and_goes_without_a_trace() {
    let with = set(CALICO, "calico", 1460);
    insta::assert_snapshot!(with, @r#"
    {
      "name": "k8s-pod-network",
      "cniVersion": "0.3.1",
      "plugins": [
        {
          "mtu": 1460,
          "type": "calico",
          "ipam": { "type": "calico-ipam" },
          "policy": { "type": "k8s" }
        },
        {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}}
      ]
    }
    "#);
    assert_eq!(set(&with, "calico", 1460), with);
    assert_eq!(edit(&with, "calico", None).unwrap(), CALICO);
}

#[test]
fn blanks_are_as_the_file_has_them() {
    for (text, with) in [
        (r#"{"type":"bridge"}"#, r#"{"mtu":1460,"type":"bridge"}"#),
        (
            r#"{"type": "bridge", "mtu": 9000 }"#,
            r#"{"type": "bridge", "mtu": 1460 }"#,
        ),
        (
            "{\r\n\t\"type\": \"bridge\"\r\n}\r\n",
            "{\r\n\t\"mtu\": 1460,\r\n\t\"type\": \"bridge\"\r\n}\r\n",
        ),
        (
            r#"{"type":"bridge","mtu":"1500"}"#,
            r#"{"type":"bridge","mtu":1460}"#,
        ),
        (
            r#"{"type":"flannel","delegate":{}}"#,
            r#"{"type":"flannel","delegate":{"mtu": 1460}}"#,
        ),
    ] {
        let kind = if text.contains("flannel") {
            "flannel"
        } else {
            "bridge"
        };
        assert_eq!(set(text, kind, 1460), with);
    }
    let last = r#"{"type":"bridge", "mtu":1460}"#;
    assert_eq!(edit(last, "bridge", None).unwrap(), r#"{"type":"bridge"}"#);
}

#[test]
fn what_was_no_number_comes_back_as_it_was() {
    for raw in ["\"1500\"", "1.5e3", "null", "-0"] {
        let text = format!(r#"{{"type":"ptp","mtu":{raw}}}"#);
        let found = read(&text).of("ptp").next().unwrap().mtu.clone().unwrap();
        assert_eq!(found, Value::Text(raw.into()));
        assert_eq!(edit(&set(&text, "ptp", 1460), "ptp", Some(&found)).unwrap(), text);
    }
}

#[test]
fn delegates_are_found_wherever_they_are() {
    let multus = r#"{"type": "multus", "delegates": [
        {"plugins": [{"type": "calico", "mtu": 1500}, {"type": "portmap"}]},
        {"type": "flannel", "delegate": {"hairpinMode": true}},
        {"type": "flannel", "delegate": {"type": "calico", "mtu": 0}},
        {"type": "flannel"}
    ]}"#;
    insta::assert_snapshot!(shown(multus), @r"
    multus mtu: none
    calico delegates[0].plugins[0].mtu: 1500
    portmap delegates[0].plugins[1].mtu: none
    flannel delegates[1].delegate.mtu: none
    calico delegates[2].delegate.mtu: 0
    ");
    assert_eq!(
        edit(multus, "weave-net", None).unwrap_err().kind,
        ErrorKind::Missing
    );
}

#[test]
fn a_delegate_that_is_no_object_holds_no_mtu() {
    for delegate in ["null", "5", "[]", r#"[{"mtu": 1400}]"#, r#""é""#, "true"] {
        let text = format!(r#"{{"type": "flannel", "delegate": {delegate}}}"#);
        assert_eq!(read(&text).reading, Contents::Plugins(Vec::new()), "{text}");
        let error = edit(&text, "flannel", Some(&Value::Number(1460))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Missing, "{text}");
    }
}

#[test]
fn what_no_runtime_loads_is_said_with_its_line() {
    let shown: Vec<String> = [
        "",
        "{\n  \"type\": \"calico\",\n}",
        "{\"plugins\": []}",
        "{\"plugins\": [{\"type\": \"calico\"}, {}]}",
        "[]",
        "{\"name\": \"net\"}",
        "\u{feff}{\"type\": \"calico\"}",
        "{\"type\": \"calico\", \"mtu\": 1, \"mtu\": 2}",
        "{\"type\": \"calico\", \"mtu\": __CNI_MTU__}",
        "\"hunter2\"",
        "4711",
    ]
    .map(shown)
    .to_vec();
    insta::assert_snapshot!(shown.join("\n"), @"
    invalid: it is empty
    invalid: line 2: a comma after the last value
    invalid: its list of plugins is empty
    invalid: plugins[1] has no type
    invalid: it is an empty list, not an object
    invalid: it has neither plugins nor a type
    invalid: it starts with a byte order mark, which is not JSON
    unread: line 1: the key `mtu` is given twice
    template: __CNI_MTU__
    invalid: it is a single value, not an object
    invalid: it is a single value, not an object
    ");
}

/// Configurations of any shape, printed in two ways.
fn configuration() -> impl Strategy<Value = String> {
    let mtu = prop_oneof![Just(None), (0_i64..70000).prop_map(Some)];
    let plugin = (
        prop::sample::select(vec!["calico", "bridge", "portmap", "tuning"]),
        mtu,
        any::<bool>(),
    );
    let plugins = prop::collection::vec(plugin, 1..4);
    (plugins, any::<bool>(), any::<bool>()).prop_map(|(plugins, pretty, nested)| {
        let plugins: Vec<_> = plugins
            .into_iter()
            .map(|(kind, mtu, first)| {
                let mut map = serde_json::Map::new();
                if let (Some(mtu), true) = (mtu, first) {
                    map.insert("mtu".into(), json!(mtu));
                }
                map.insert("type".into(), json!(kind));
                map.insert("ipam".into(), json!({"type": "host-local", "mtu": 1}));
                if let (Some(mtu), false) = (mtu, first) {
                    map.insert("mtu".into(), json!(mtu));
                }
                serde_json::Value::Object(map)
            })
            .collect();
        let list = json!({"name": "net", "plugins": plugins});
        let all = if nested {
            json!({"type": "multus", "delegates": [list]})
        } else {
            list
        };
        if pretty {
            serde_json::to_string_pretty(&all).unwrap()
        } else {
            all.to_string()
        }
    })
}

proptest! {
    #[test]
    fn an_edit_changes_nothing_else_and_can_be_taken_back(
        text in configuration(),
        kind in prop::sample::select(vec!["calico", "bridge", "portmap", "tuning"]),
        mtu in 68_i64..65536,
    ) {
        let before = read(&text);
        let Some(first) = before.of(kind).next() else { return Ok(()) };
        let alike = before.of(kind).all(|plugin| plugin.mtu == first.mtu);
        let edited = edit(&text, kind, Some(&Value::Number(mtu))).unwrap();
        let mut expected = before.clone();
        expected.set(kind, Some(&Value::Number(mtu)));
        let is = read(&edited);
        prop_assert_eq!(is.plugins(), expected.plugins());
        prop_assert_eq!(&edit(&edited, kind, Some(&Value::Number(mtu))).unwrap(), &edited);
        if alike {
            prop_assert_eq!(edit(&edited, kind, first.mtu.as_ref()).unwrap(), text);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}", mtu in prop::option::of(0_i64..70000)) {
        let _ = read(&text);
        let _ = edit(&text, "calico", mtu.map(Value::Number).as_ref());
    }
}

#[test]
fn what_go_takes_and_netkeel_does_not_edit_loads_all_the_same() {
    let deep = format!(
        "{{\"type\": \"calico\", \"a\": {}{}}}",
        "[".repeat(200),
        "]".repeat(200)
    );
    for text in [
        "{\"type\": \"calico\", \"mtu\": 1, \"mtu\": 2}",
        "{\"type\": \"calico\", \"note\": \"\\ud800\"}",
        &deep,
    ] {
        let reading = read(text).reading;
        assert!(matches!(reading, Contents::Unread(_)), "{text}: {reading:?}");
        assert_eq!(
            edit(text, "calico", None).unwrap_err().kind,
            ErrorKind::Unreadable
        );
    }
    for text in [
        "{\"type\": \"calico\", \"note\": \"a\tb\"}",
        "{\"type\": \"calico\", \"mtu\": 1, \"mtu\": 2",
    ] {
        assert!(matches!(read(text).reading, Contents::Invalid(_)), "{text}");
    }
}

#[test]
fn the_name_of_the_file_says_what_it_is_to_be() {
    let list = "{\"name\": \"pods\", \"plugins\": [{\"type\": \"ptp\"}]}";
    let single = "{\"name\": \"pods\", \"type\": \"ptp\"}";
    let both = "{\"name\": \"pods\", \"type\": \"ptp\", \"plugins\": [{\"type\": \"ptp\"}]}";
    let of = |name: &str, text: &str| match read_file(Path::new(name), text).reading {
        Contents::Plugins(_) => "loads".to_owned(),
        reading => reading.refusal(),
    };
    let shown = [
        of("a.conflist", list),
        of("a.conflist", single),
        of("a.conflist", both),
        of("a.conf", single),
        of("a.json", list),
        of("a.conf", both),
        of("a.conf", "{\"type\": \"ptp\"}"),
        of("a.conflist", "{\"plugins\": [{\"type\": \"ptp\"}]}"),
    ];
    insta::assert_snapshot!(shown.join("\n"), @r"
    loads
    it is not a CNI configuration: it is a single plugin, and a file that ends in .conflist needs a list, `plugins`
    loads
    loads
    it is not a CNI configuration: it is a list of plugins, which needs a file that ends in .conflist
    it loads, but netkeel does not edit it: it has both `type` and `plugins`, and netkeel does not read `plugins`
    it is not a CNI configuration: it has no name
    it is not a CNI configuration: it has no name
    ");
}

#[test]
fn a_plugin_that_reads_text_gets_text() {
    let text = r#"{"cniVersion":"0.4.0","name":"aws-cni","plugins":[
 {"name":"aws-cni","type":"aws-cni","mtu":"9001"},{"type":"egress-cni","mtu":9001}]}"#;
    assert_eq!(
        shown(text),
        "aws-cni plugins[0].mtu: 9001\negress-cni plugins[1].mtu: 9001\n"
    );
    let reading = read(text);
    assert_eq!(reading.mtu("aws-cni"), Some(Value::Number(9001)));
    // A number, which the plugin cannot read, is not the value 9001.
    assert_eq!(reading.mtu("egress-cni"), Some(Value::Text("9001".into())));
    let smaller = set(text, "aws-cni", 8951);
    assert!(smaller.contains(r#""type":"aws-cni","mtu":"8951""#), "{smaller}");
    let right = set(text, "egress-cni", 9001);
    assert!(right.contains(r#""type":"egress-cni","mtu":"9001""#), "{right}");
    // The text from before comes back unchanged.
    let back = edit(&right, "egress-cni", Some(&Value::Text("9001".into()))).unwrap();
    assert_eq!(back, text);
}
