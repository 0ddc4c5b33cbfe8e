//! Tests of layers and budgets.

use proptest::prelude::*;

use crate::budget::{Budget, LEAST, MOST};
use crate::layer::{Family, Layer};
use crate::{convention, encapsulation};
use netkeel_core::error::Error;

fn layers(texts: &[&str]) -> Result<Vec<Layer>, Error> {
    texts.iter().map(|text| Layer::parse(text, None)).collect()
}

fn budget(texts: &[&str]) -> Budget {
    Budget {
        layers: layers(texts).unwrap(),
        ..Budget::default()
    }
}

fn refused(text: &str) -> String {
    match Layer::parse(text, None) {
        Ok(layer) => format!("{text} is taken for {layer:?}"),
        Err(error) => [vec![error.message], error.hints].concat().join("\n  "),
    }
}

#[test]
fn what_is_no_layer_is_told_with_what_would_be() {
    insta::assert_snapshot!(
        [
            "",
            "vxln",
            "wiregard:ipv4",
            "wireguard:ip4",
            "geneve:options=7",
            "geneve:options=x",
            "geneve:options=256",
            "vxlan:ipv4,ipv6",
            "vxlan:40",
            "mpls:2",
            "kubespan+vxlan",
            "wireguard+eth",
            "ipv4+upd",
            "ipv4+vxlan",
            "vpn:many",
            "vpn:99999",
            ":12",
            "flannel:vxlan,udp",
            "ipip:ipv6",
            "esp-trailer:align=3",
            "ip v4+udp",
            "1500",
        ]
        .map(refused)
        .join("\n"),
        @"
    there is no layer ``
      layers are ipip, sit, ip6ip6, ip4ip6, ip6tnl, gre, gretap, vxlan, vxlan-gpe, geneve, ovn-geneve, stt, wireguard, kubespan, esp, esp-trailer, fou, gue, mpls, pppoe, vlan; CNI conventions are calico, canal, cilium, flannel, antrea, kube-ovn, openshift, weave, aks, gke, eks
      a stack of headers is ipv4+udp+vxlan+eth, and anything else is NAME:BYTES
    there is no layer `vxln`
      did you mean `vxlan`?
    there is no layer `wiregard:ipv4`
      did you mean `wireguard`?
    wireguard has no parameter `ip4`
      did you mean `ipv4`?
    geneve: options take 0 to 252 bytes in steps of 4, not 7
    geneve has no parameter `options=x`
      as options=8
    geneve: options take 0 to 252 bytes in steps of 4, not 256
    vxlan: it cannot be `ipv4` and `ipv6`
    `vxlan:40`: vxlan takes at least 50 bytes
    `mpls:2`: mpls takes at least 4 bytes
      write mpls:labels=2
    `kubespan+vxlan`: there is no header `kubespan`
      kubespan is a layer: give it as a separate item
    `wireguard+eth`: there is no header `wireguard`
      wireguard is a layer: give it as a separate item
    `ipv4+upd`: there is no header `upd`
      did you mean `udp`?
    `ipv4+vxlan`: the header `vxlan` must follow `udp`
      the layer vxlan with all its headers is a separate item
    there is no layer `vpn:many`
      layers are ipip, sit, ip6ip6, ip4ip6, ip6tnl, gre, gretap, vxlan, vxlan-gpe, geneve, ovn-geneve, stt, wireguard, kubespan, esp, esp-trailer, fou, gue, mpls, pppoe, vlan; CNI conventions are calico, canal, cilium, flannel, antrea, kube-ovn, openshift, weave, aks, gke, eks
      a stack of headers is ipv4+udp+vxlan+eth, and anything else is NAME:BYTES
    `vpn:99999`: `99999` is not a number of bytes up to 65535
      a header by its size is NAME:BYTES, as esp:34
    `:12` is not a layer
      a layer by its size is NAME:BYTES
    flannel: it cannot be `vxlan` and `udp`
    ipip has no parameter `ipv6`
      ipip takes no parameters
    esp-trailer: ESP pads to 4 to 256 bytes, not to 3
    `ip v4+udp`: there is no header `ip v4`
      did you mean `ipv4`?
    there is no layer `1500`
      the MTU below the layers is the underlay: --underlay 1500, in a document `underlay: 1500`
    "
    );
}

#[test]
fn a_layer_by_its_size_keeps_its_headers() {
    let layer = Layer::parse("vxlan:70", None).unwrap();
    assert_eq!((layer.inner(1500), layer.exactly(1500)), (1430, 1450));
    // So small that only IPv4 fits inside.
    let layer = Layer::parse("wireguard:60", None).unwrap();
    assert_eq!((layer.inner(1500), layer.exactly(1500)), (1440, 1440));
}

#[test]
fn the_family_is_that_of_the_layer_or_of_all() {
    let inner = |text, family| Layer::parse(text, family).unwrap().inner(1500);
    assert_eq!(inner("vxlan", Some(Family::Ipv6)), 1430);
    assert_eq!(inner("vxlan:ipv4", Some(Family::Ipv6)), 1450);
    assert_eq!(inner("wireguard", None), 1420);
    assert_eq!(inner("wireguard", Some(Family::Ipv4)), 1440);
    assert_eq!(inner("kube-ovn", Some(Family::Ipv6)), 1380);
}

#[test]
fn padding_takes_what_is_no_multiple() {
    let inner = |text, outer| Layer::parse(text, None).unwrap().inner(outer);
    // RFC 4303: everything from the payload to the next header is padded.
    assert_eq!(inner("esp", 1500), 1446);
    assert_eq!(inner("esp:udp", 1500), 1438);
    assert_eq!(inner("esp:aes-cbc-sha1", 1500), 1438);
    assert_eq!(inner("esp:aes-cbc-sha256", 1500), 1438);
    assert_eq!(inner("esp:transport", 1500), 1466);
    assert_eq!(inner("wireguard:padded", 1500), 1408);
}

#[test]
fn a_convention_that_is_too_small_is_told() {
    let over_ipv6 = Budget {
        layers: vec![Layer::parse("flannel", Some(Family::Ipv6)).unwrap()],
        ..Budget::default()
    };
    let answer = over_ipv6.derive(1500, "as given").unwrap();
    assert_eq!(
        (answer.mtu, answer.exact_mtu, answer.left_over),
        (1450, 1430, -20)
    );
    assert!(answer.notes[0].contains("20 bytes larger"), "{:?}", answer.notes);
}

#[test]
fn a_floor_takes_back_what_nobody_needs_and_no_more() {
    let with = |floor, margin| {
        let budget = Budget {
            margin,
            floor: Some(floor),
            ..budget(&["kubespan", "kube-ovn"])
        };
        budget
            .derive(1500, "as given")
            .map(|answer| Budget::line(&answer))
    };
    assert_eq!(
        with(1280, 98).unwrap(),
        "1500 (as given) - 80 kubespan - 100 kube-ovn - 98 margin + 58 floor = 1280"
    );
    assert_eq!(
        with(1362, 0).unwrap(),
        "1500 (as given) - 80 kubespan - 100 kube-ovn + 42 floor = 1362"
    );
    assert!(with(1363, 0).unwrap_err().message.contains("at most 1362 fit"));
    let both = Budget {
        floor: Some(1400),
        cap: Some(1300),
        ..Budget::default()
    };
    assert!(
        both.derive(1500, "")
            .unwrap_err()
            .message
            .contains("above the cap")
    );
}

#[test]
fn nothing_is_left_is_an_error() {
    let error = budget(&["vpn:1450"]).derive(1500, "").unwrap_err();
    assert_eq!(
        error.message,
        "nothing usable is left of 1500 bytes after 1450 vpn:1450: 50, and an MTU is from 68 to 65535"
    );
    assert!(Budget::default().derive(67, "").is_err());
    assert!(Budget::default().derive(65536, "").is_err());
}

proptest! {
    #[test]
    fn any_text_is_a_layer_or_an_error(text in "[a-z0-9:=,+-]{0,24}") {
        if let Ok(layer) = Layer::parse(&text, None) {
            let _ = layer.inner(1500);
        }
    }

    /// A larger underlay never gives a smaller MTU, and the exact MTU is never above the underlay's.
    #[test]
    fn an_mtu_grows_with_its_underlay(
        underlay in LEAST..MOST,
        texts in proptest::collection::vec(
            proptest::sample::select(encapsulation::names().chain(convention::names()).collect::<Vec<_>>()), 0..4),
        align in 1_i64..17,
    ) {
        let budget = Budget { align: Some(align), ..budget(&texts) };
        let (small, large) = (budget.derive(underlay, ""), budget.derive(underlay + 1, ""));
        if let (Ok(small), Ok(large)) = (small, large) {
            prop_assert!(small.mtu <= large.mtu);
            prop_assert!(small.exact_mtu <= small.underlay);
            prop_assert_eq!(small.mtu % align, 0);
            prop_assert_eq!(small.left_over, small.exact_mtu - small.mtu);
        }
    }
}
