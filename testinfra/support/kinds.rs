//! The kinds of op by name. Whoever adds an op is stopped in [`name`], and adds its name here.

use netkeel_core::op::Op;

/// All names of [`name`].
pub const ALL: &[&str] = &[
    "WriteFile",
    "RemoveFile",
    "CreateTunnel",
    "RecreateTunnel",
    "DeleteLink",
    "AddAddress",
    "RemoveAddress",
    "SetMtu",
    "SetUp",
    "SetTxQueueLength",
    "SetAlias",
    "WriteSysctl",
    "SetPluginMtu",
    "SetWireguardMtu",
    "SetRules",
    "RemoveRules",
    "RemoveForeignRules",
    "RestoreForeignRules",
    "SetPodMtu",
    "SetRouteMetric",
];

/// The kind of an op.
pub fn name(op: &Op) -> &'static str {
    match op {
        Op::WriteFile { .. } => "WriteFile",
        Op::RemoveFile { .. } => "RemoveFile",
        Op::CreateTunnel { .. } => "CreateTunnel",
        Op::RecreateTunnel { .. } => "RecreateTunnel",
        Op::DeleteLink { .. } => "DeleteLink",
        Op::AddAddress { .. } => "AddAddress",
        Op::RemoveAddress { .. } => "RemoveAddress",
        Op::SetMtu { .. } => "SetMtu",
        Op::SetUp { .. } => "SetUp",
        Op::SetTxQueueLength { .. } => "SetTxQueueLength",
        Op::SetAlias { .. } => "SetAlias",
        Op::WriteSysctl { .. } => "WriteSysctl",
        Op::SetPluginMtu { .. } => "SetPluginMtu",
        Op::SetWireguardMtu { .. } => "SetWireguardMtu",
        Op::SetRules { .. } => "SetRules",
        Op::RemoveRules { .. } => "RemoveRules",
        Op::RemoveForeignRules { .. } => "RemoveForeignRules",
        Op::RestoreForeignRules { .. } => "RestoreForeignRules",
        Op::SetPodMtu { .. } => "SetPodMtu",
        Op::SetRouteMetric { .. } => "SetRouteMetric",
    }
}
