//! The cases: what netkeel makes of a document on a host. Each is run three times: its plan is
//! compared with the golden one, it is applied to the model kernel, and, where the case says how
//! to build the host, to the real one. NETKEEL_BLESS=1 rewrites what a case expects.
//!
//! The section `remedy CODE.yaml` is what the remedy of a finding on the plan tells to declare, as a further layer.

#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/remedy.rs"]
mod remedy;
#[path = "support/txtar.rs"]
mod txtar;

use namespace::Namespace;
use txtar::{Archive, difference, golden, run_all};

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use netkeel_apply::engine::apply::{apply, undo};
use netkeel_apply::engine::session::{Session, Unlogged, Unwatched};
use netkeel_core::maybe_secret::reveal;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_diagnose::lint::plan::plan;
use netkeel_document::document::Document;
use netkeel_host::kernel::Kernel;
use netkeel_host::model::kernel::ModelKernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Families;
use netkeel_host::snapshot::reading::Support;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;
use netkeel_plan::loss::Loss;
use netkeel_plan::outcome::Applied;
use netkeel_plan::plan::Plan;
use netkeel_render::plan::of::Of;
use netkeel_render::plan::text;
use netkeel_render::plan::text::Style;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::report::render;
use netkeel_source::sources::Sources;

/// The name that namespaces have in the files.
const PLACE: &str = "host";

/// A case as it was read.
struct Case {
    document: Document,
    sources: Sources,
}

/// Whether a section is a layer of the document.
fn is_document(name: &str) -> bool {
    let is_text = [".yaml", ".json", ".toml"].iter().any(|end| name.ends_with(end));
    is_text && name != "observed.json" && !name.starts_with("remedy ")
}

impl Case {
    /// Reads the documents of a case in their order.
    fn read(archive: &Archive, netns: Netns) -> Result<Case, String> {
        let mut sources = Sources::default();
        let mut diagnostics = Diagnostics::default();
        let mut layers = Vec::new();
        for (name, text) in &archive.sections {
            if is_document(name) {
                layers.extend(sources.load(name, text.clone().into_bytes(), None, &mut diagnostics));
            }
        }
        let document = Document::read(layers, netns, &mut diagnostics);
        if diagnostics.is_empty() {
            Ok(Case { document, sources })
        } else {
            Err(render::render(&diagnostics, &sources, false))
        }
    }

    /// The plan as text with its commands and what would undo it, or the errors.
    fn show(&self, plan: &Result<Plan, Box<Diagnostics>>) -> String {
        let plan = match plan {
            Ok(plan) => plan,
            Err(diagnostics) => return render::render(diagnostics, &self.sources, false),
        };
        let style = Style {
            colour: false,
            commands: true,
            full: false,
            of: Of::Here,
        };
        let mut out = text::plan(plan, &self.sources, style);
        if !plan.steps.is_empty() {
            out.push_str("\nUndo\n");
        }
        for step in plan.steps.iter().rev() {
            for op in &step.undo.ops {
                let _ = writeln!(out, "  {op}");
            }
        }
        let named = format!("netns {PLACE}");
        match plan.netns.name() {
            Some(name) => out
                .replace(&format!("netns {name}"), &named)
                .replace(&format!("netns exec {name}"), &format!("netns exec {PLACE}"))
                .replace(&format!("ip -n {name}"), &format!("ip -n {PLACE}")),
            None => out,
        }
    }
}

fn observed(archive: &Archive) -> Result<Snapshot, String> {
    let json = archive.get("observed.json").ok_or("there is no observed.json")?;
    Snapshot::from_json(json).map_err(|error| error.message)
}

#[test]
fn every_case_is_planned_as_it_says() {
    run_all("cases", |path, archive| {
        if std::env::var_os("NETKEEL_BLESS").is_some() && archive.get("setup").is_some() {
            observe(path, archive)?;
        }
        let host = observed(archive)?;
        let case = Case::read(archive, host.netns.clone())?;
        let shown = case.show(&plan(&case.document, &host));
        golden(path, archive, "plan", &shown)
    });
}

/// Findings on a plan whose remedy is no part of a document, each with what mends it.
const BY_HAND: &[(&str, &str)] = &[
    ("NK005", "a right name, or an interface that appears"),
    ("NK008", "another name, or --allow-lossy"),
    ("NK012", "the plan itself"),
    ("NK020", "another encapsulation of Calico's"),
    ("NK024", "a change of the other file"),
    (
        "NK025",
        "a file of sysctl.d: the case wikimedia-worker of healthy",
    ),
    ("NK026", "a document of the host"),
    ("NK027", "the rights to read a file"),
    ("NK032", "another table for a rule of another program"),
    ("NK035", "a start of the service"),
    ("NK037", "a right prefix, or a route that appears"),
    ("NK040", "the CNI's installer, or the path of another file"),
    ("NK046", "a right path, or a file that appears"),
    ("NK047", "the CNI's own setting: the cases of healthy"),
    ("NK048", "another underlay"),
    ("NK073", "a right condition, or an interface that appears"),
    ("NK074", "a look into the plugin's documentation"),
    ("NK075", "a mount of /lib/modules"),
];

#[test]
fn the_remedy_of_a_finding_on_a_plan_mends_it_and_harms_nothing() {
    run_all("cases", |_, archive| {
        let host = observed(archive)?;
        let layers = archive.sections.iter().filter(|(name, _)| is_document(name));
        let layers: Vec<&str> = layers.map(|(_, text)| text.as_str()).collect();
        for (name, remedy) in &archive.sections {
            let code = name
                .strip_prefix("remedy ")
                .and_then(|name| name.strip_suffix(".yaml"));
            let Some(code) = code else { continue };
            remedy::mends_code(&layers, remedy, &host, code).map_err(|why| format!("{code}: {why}"))?;
        }
        Ok(())
    });
}

#[test]
fn every_finding_on_a_plan_has_a_remedy_that_is_tried_or_done_by_hand() {
    if std::env::var_os("NETKEEL_CASE").is_some() {
        return;
    }
    let (mut found, mut tried) = (BTreeSet::new(), BTreeSet::new());
    for path in txtar::files("cases") {
        let archive = Archive::parse(&std::fs::read_to_string(path).unwrap());
        for line in archive.get("plan").unwrap_or_default().lines() {
            let code = line.split(' ').nth(1).filter(|_| {
                ["note NK", "warning NK", "error NK"]
                    .iter()
                    .any(|start| line.starts_with(start))
            });
            found.extend(code.map(str::to_owned));
        }
        let codes = archive
            .sections
            .iter()
            .filter_map(|(name, _)| Some(name.strip_prefix("remedy ")?.strip_suffix(".yaml")?.to_owned()));
        tried.extend(codes);
    }
    let by_hand: BTreeSet<String> = BY_HAND.iter().map(|(code, _)| (*code).to_owned()).collect();
    assert!(found.len() > 30, "{found:?}");
    let both: Vec<_> = by_hand.intersection(&tried).collect();
    assert!(both.is_empty(), "a document mends {both:?}");
    let neither: Vec<_> = found
        .iter()
        .filter(|code| !by_hand.contains(*code) && !tried.contains(*code))
        .collect();
    assert!(neither.is_empty(), "nobody tries the remedies of {neither:?}");
}

#[test]
fn every_case_holds_on_the_model_kernel() {
    run_all("cases", |_, archive| {
        let before = observed(archive)?;
        let case = Case::read(archive, before.netns.clone())?;
        let mut scope = Scope::wide();
        scope.extend(case.document.scope());
        let mut kernel = ModelKernel::new(before);
        hold(&case, &mut kernel, &scope)
    });
}

#[test]
fn every_case_with_a_setup_holds_on_the_real_kernel() {
    run_all("cases", |_, archive| {
        let Some(setup) = archive.get("setup") else {
            return Ok(());
        };
        let namespace = Namespace::new();
        namespace.sh(setup);
        let case = Case::read(archive, namespace.netns())?;
        let mut scope = Scope::wide();
        scope.files.clear();
        scope.extend(case.document.scope());
        Live::with(&namespace.netns(), |kernel| {
            let host = kernel.snapshot(&case.document.scope()).unwrap();
            let shown = case.show(&plan(&case.document, &host));
            let expected = archive.get("plan").unwrap_or_default();
            if shown != expected {
                return Err(format!(
                    "the real kernel's plan differs:\n{}",
                    difference(expected, &shown)
                ));
            }
            hold(&case, kernel, &scope)
        })
        .unwrap()
    });
}

/// What must be true of every case on any kernel: applied, nothing is left; applied again, nothing
/// is written; undone in reverse, the host is as before, less what the plan says it loses.
fn hold(case: &Case, kernel: &mut dyn Kernel, scope: &Scope) -> Result<(), String> {
    let before = kernel.snapshot(scope).unwrap();
    if plan(&case.document, &before).is_err() {
        return refused(case, kernel, &before, scope);
    }
    let applied = run(case, kernel)?;
    let now = kernel.snapshot(scope).unwrap();
    let again = plan(&case.document, &now).map_err(|_| "applied, the document is refused")?;
    if !again.in_sync() {
        return Err(format!("something is left to do:\n{}", case.show(&Ok(again))));
    }
    let second = run(case, kernel)?;
    if second.done > 0 {
        return Err(format!("applied again, it wrote {} times", second.done));
    }
    let steps = applied.planned.plan.steps.iter().rev();
    let (_, remaining) = undo(kernel, steps.map(|step| &*step.undo.ops));
    if !remaining.is_empty() {
        return Err(format!("this is not undone: {remaining:#?}"));
    }
    let after = kernel.snapshot(scope).unwrap();
    same(&before, &after, &applied.planned.plan)
}

/// A document that is refused on a host changes nothing there.
fn refused(case: &Case, kernel: &mut dyn Kernel, before: &Snapshot, scope: &Scope) -> Result<(), String> {
    if run(case, kernel).is_ok() {
        return Err("it is refused by plan and not by apply".into());
    }
    if kernel.snapshot(scope).unwrap() != *before {
        return Err("it is refused and changes something".into());
    }
    Ok(())
}

fn run(case: &Case, kernel: &mut dyn Kernel) -> Result<Applied, String> {
    let session = Session {
        kernel,
        log: &mut Unlogged,
        lossy: true,
        watch: &mut Unwatched,
    };
    apply(&case.document, session)
        .outcome
        .map_err(|failure| format!("apply: {failure:#?}"))
}

/// Compares two looks at a host, aside from what the kernel gives anew (link-local addresses) and
/// what cannot be undone (a device that was deleted).
fn same(before: &Snapshot, after: &Snapshot, plan: &Plan) -> Result<(), String> {
    let gone: BTreeSet<LinkName> = plan
        .steps
        .iter()
        .flat_map(|step| &step.undo.loses)
        .filter_map(|lost| match lost {
            Loss::Device { link } | Loss::DeviceWith { link, .. } => Some(*link),
            _ => None,
        })
        .collect();
    let unrouted: BTreeSet<LinkName> = plan
        .steps
        .iter()
        .flat_map(|step| &step.undo.loses)
        .filter_map(|lost| match lost {
            Loss::Routes { link } => Some(*link),
            _ => None,
        })
        .collect();
    let lost = plan.steps.iter().flat_map(|step| &step.undo.loses);
    let overwritten: BTreeSet<&Path> = lost
        .filter_map(|lost| match lost {
            Loss::WireguardFile { path } => Some(&**path),
            _ => None,
        })
        .collect();
    let lost = plan.steps.iter().flat_map(|step| &step.undo.loses);
    let unannounced: BTreeSet<LinkName> = lost
        .filter_map(|lost| match lost {
            Loss::AnnouncedRoutes { link } => Some(*link),
            _ => None,
        })
        .collect();
    let show = |host: &Snapshot| {
        let mut host = host.clone();
        host.links.retain(|name, _| !gone.contains(name));
        if let Some(announced) = &mut host.announced_routes {
            announced.retain(|name, _| !unannounced.contains(name));
        }
        if let Some(hops) = &mut host.next_hops {
            let lost = |name: &LinkName| {
                gone.contains(name) || unrouted.contains(name) || unannounced.contains(name)
            };
            hops.retain(|hop| !lost(&hop.link));
        }
        for (name, link) in &mut host.links {
            if unrouted.contains(name) {
                Arc::make_mut(link).routes.clear();
            }
        }
        // No key is kept for an undo.
        host.wireguard.retain(|copy, _| !overwritten.contains(&**copy));
        text_of(&without_link_local(host))
    };
    let (before, after) = (show(before), show(after));
    if before == after {
        Ok(())
    } else {
        Err(format!(
            "undone, the host is not as before:\n{}",
            difference(&before, &after)
        ))
    }
}

fn without_link_local(mut host: Snapshot) -> Snapshot {
    for link in host.links.values_mut().map(Arc::make_mut) {
        link.addresses
            .retain(|address| !matches!(address, IpNet::V6(net) if net.addr().is_unicast_link_local()));
    }
    host
}

/// Builds the host of a case and notes what is to be seen of it.
fn observe(path: &Path, archive: &mut Archive) -> Result<(), String> {
    let namespace = Namespace::new();
    namespace.sh(archive.get("setup").unwrap_or_default());
    let case = Case::read(archive, namespace.netns())?;
    let host = Live::with(&namespace.netns(), |kernel| {
        kernel.snapshot(&case.document.scope())
    })
    .unwrap();
    let mut host = without_link_local(host.unwrap());
    host.netns = Netns::named(PLACE);
    host.kernel = "6.12.0".into();
    // Not every machine knows of its kernel's modules.
    if let Some(nflog) = &mut host.nflog {
        nflog.support = Support::Yes;
    }
    golden(path, archive, "observed.json", &text_of(&host))
}

/// A snapshot as JSON, a line for each interface and sysctl.
fn text_of(host: &Snapshot) -> String {
    let Snapshot {
        format,
        netns,
        kernel,
        boot: _,
        links,
        families: Families { ipv4, ipv6 },
        sysctls,
        files,
        default_routes,
        next_hops,
        policy_routing,
        announced_routes,
        routes: read,
        forwarding,
        firewall,
        path_mtus,
        cni,
        wireguard,
        tunnels,
        modules,
        ticks,
        cpus,
        sysctl_d,
        nflog,
        replication,
        problems,
    } = host;
    let table = |rows: Vec<String>| {
        if rows.is_empty() {
            "{}".to_owned()
        } else {
            format!("{{\n    {}\n  }}", rows.join(",\n    "))
        }
    };
    let links = links
        .iter()
        .map(|(name, link)| format!("{}: {}", json(name), json(link)));
    let sysctls = sysctls
        .iter()
        .map(|(key, reading)| format!("{}: {}", json(key), json(reading)));
    let files = files
        .iter()
        .map(|(path, file)| format!("{}: {}", json(path), json(file)));
    let tunnels = tunnels
        .iter()
        .map(|(mode, support)| format!("{}: {}", json(mode), json(support)));
    // Where there are none, a case that says nothing of them stays as it is.
    let routes = default_routes
        .as_ref()
        .filter(|routes| !routes.is_empty())
        .map_or_else(String::new, |routes| {
            format!("  \"default_routes\": {},\n", json(routes))
        });
    let hops = next_hops
        .as_ref()
        .filter(|hops| !hops.is_empty())
        .map_or_else(String::new, |hops| format!("  \"next_hops\": {},\n", json(hops)));
    let cni = cni
        .as_ref()
        .map_or_else(String::new, |cni| format!("  \"cni\": {},\n", json(cni)));
    format!(
        "{{\n  \"format\": {format},\n  \"netns\": {},\n  \"kernel\": {},\n  \"families\": {{\"ipv4\": {ipv4}, \"ipv6\": {ipv6}}},\n  \
         \"links\": {},\n  \"sysctls\": {},\n  \"files\": {},\n{routes}{hops}{cni}  \"tunnels\": {},\n  {}\"problems\": {}\n}}\n",
        json(netns),
        json(kernel),
        table(links.collect()),
        table(sysctls.collect()),
        table(files.collect()),
        table(tunnels.collect()),
        asked("sysctl_d", sysctl_d)
            + &asked("nflog", nflog)
            + &asked("replication", replication)
            + &asked("announced_routes", announced_routes)
            + &asked("policy_routing", policy_routing)
            + &asked("routes", &Some(read).filter(|read| !read.is_empty()))
            + &asked("forwarding", forwarding)
            + &asked("firewall", firewall)
            + &asked("path_mtus", &Some(path_mtus).filter(|paths| !paths.is_empty()))
            + &asked("modules", &Some(modules).filter(|modules| !modules.is_empty()))
            + &asked("ticks", ticks)
            + &asked("cpus", cpus)
            + &asked("wireguard", &Some(wireguard).filter(|copies| !copies.is_empty())),
        json(problems),
    )
}

/// What few documents ask for.
fn asked<T: serde::Serialize>(name: &str, found: &Option<T>) -> String {
    let found = found.as_ref();
    found.map_or_else(String::new, |found| format!("\"{name}\": {},\n  ", json(found)))
}

fn json<T: serde::Serialize>(value: &T) -> String {
    // The snapshot of a case has made-up secrets, so that its plan can be made.
    reveal(|| serde_json::to_string(value)).unwrap()
}
