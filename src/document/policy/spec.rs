//! The shape of a policy's `spec`.

use crate::kinds::probes;
use crate::policy::eviction;
use crate::policy::label;
use crate::policy::rollout;
use crate::policy::selector;
use crate::shape::{Field, Shape, field};

const LABELS: Shape = Shape::Table {
    key: label::label_key,
    key_doc: "The key of a label.",
    value: &LABEL_VALUE,
};

const LABEL_VALUE: Shape = Shape::Text {
    check: label::label_value,
    what: "the value of a label",
};

const PODS: Shape = Shape::List(&Shape::Text {
    check: eviction::check,
    what: "a pattern of pods",
});

/// The keys of `spec`, except `document`, whose shape is that of a document.
pub const SPEC: Shape = Shape::Map(&[
    field(
        "nodeSelector",
        Shape::Map(&[
            field("matchLabels", LABELS, "The labels that a node has."),
            field(
                "matchExpressions",
                Shape::List(&Shape::Map(&[
                    Field {
                        name: "key",
                        shape: Shape::Text {
                            check: label::label_key,
                            what: "the key of a label",
                        },
                        required: true,
                        doc: "The key of a label.",
                    },
                    Field {
                        name: "operator",
                        shape: Shape::Word(selector::OPERATORS),
                        required: true,
                        doc: "In, NotIn, Exists or DoesNotExist.",
                    },
                    field(
                        "values",
                        Shape::List(&LABEL_VALUE),
                        "The values, for In and NotIn.",
                    ),
                ])),
                "Conditions on labels. All must hold.",
            ),
        ]),
        "The nodes for which the policy is. Default: every node.",
    ),
    field(
        "mode",
        Shape::Word(&["enforce", "observe"]),
        "enforce (the default): nodes correct drift. observe: nodes report it.",
    ),
    field(
        "rollout",
        Shape::Map(&[
            field(
                "percent",
                Shape::Integer {
                    min: 0,
                    max: 100,
                    unit: "%",
                },
                "The share of the nodes that take a new document, by a hash of their names. Default: 100.",
            ),
            field(
                "maxUnavailable",
                Shape::Either(&[
                    Shape::Integer {
                        min: 1,
                        max: 10_000,
                        unit: "nodes",
                    },
                    Shape::Text {
                        check: rollout::share,
                        what: "a share of the nodes, as 30%",
                    },
                ]),
                "The number of nodes that change at one time, or the share of those with a living agent. A node whose change failed counts too. Default: 30%.",
            ),
            field(
                "evict",
                Shape::Switch,
                "Evict pods whose MTU cannot be corrected while they run. Default: no.",
            ),
            field(
                "include",
                PODS,
                "The pods that may be evicted, as NAMESPACE/NAME with * and ?. Default: all but those in kube-system, which only a pattern with that namespace names.",
            ),
            field(
                "exclude",
                PODS,
                "The pods that are not evicted, as NAMESPACE/NAME with * and ?.",
            ),
        ]),
        "How a new document reaches the nodes.",
    ),
    field(
        "confirm",
        Shape::Map(&[field(
            "probes",
            Shape::List(&Shape::Map(probes::OF_A_POLICY)),
            "Probes that confirm an apply: those that passed before it must pass after it. Otherwise the node rolls back.",
        )]),
        "The checks that confirm an apply of a new document.",
    ),
    field(
        "paused",
        Shape::Switch,
        "No node takes a new document. Each one keeps the document that it has. Default: no.",
    ),
    field(
        "deletionPolicy",
        Shape::Word(&["release", "keep"]),
        "When the policy is deleted, or no longer selects a node. release (the default): the node restores what netkeel wrote for it. keep: the settings stay.",
    ),
]);
