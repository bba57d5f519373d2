//! Credentials for a registry, planted wherever they can come from; and everybody whom a pull talks to besides, each of whom
//! records every byte of what it is asked. Nobody may hold a secret that is not its own.
//!
//! In every case signatures are in a store on another host, which asks who we are, and is not told.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests are tests")]

mod origin;
mod place;
mod world;

#[path = "../support"]
mod support {
    #![allow(dead_code, unreachable_pub, reason = "each test uses its own part of it")]

    pub mod helpers;
    pub mod image;
    pub mod reply;
    pub mod request;
    pub mod server;
    pub mod server_tls;
}

use transship::registry::Error as RegistryError;
use transship::registry::TokenError;

use origin::{Access, Trap};
use place::Place;
use world::{Bystander, World, cause};

/// Plays `trap` with credentials from every place, asked for in every way, and has `check` judge the outcome. Whatever it
/// is, no bystander may hold a secret of the origin's, and the origin must: else nothing was shown.
fn everywhere(trap: Trap, bystanders: &[Bystander], check: impl Fn(&World, Case)) {
    for place in Place::ALL {
        for access in place.accesses().iter().copied().filter(|access| trap.works_with(*access)) {
            let world = World::new(trap, bystanders, place, access);
            let case = Case { place, access };
            check(&world, case);
            world.assert_nobody_holds_what_is_not_its_own(case);
            assert!(world.origin_holds_its_own() || trap == Trap::InsecureRealm, "{case:?}: the origin was not told");
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Case {
    place: Place,
    access: Access,
}

impl Case {
    /// True when a token server must be asked first.
    fn asks_for_a_token(self) -> bool {
        self.access == Access::Token && !self.place.has_token()
    }
}

/// The image is read, and every bystander was in the way.
fn is_whole(world: &World, case: Case) {
    world.pull().unwrap_or_else(|error| panic!("{case:?}: {}", transship::error::one_line(&error)));
    world.assert_all_were_asked(case);
    world.assert_the_lookaside_was_asked(case);
}

#[test]
fn mirrors_on_other_hosts_and_ports_see_only_what_is_theirs() {
    everywhere(Trap::None, &[Bystander::MirrorElsewhere, Bystander::MirrorOnOtherPort], |world, case| {
        is_whole(world, case);
        assert!(world.mirror_holds_its_own(), "{case:?}: credentials of the mirror itself do reach it");
    });
}

#[test]
fn a_realm_that_a_mirror_names_sees_only_what_is_the_mirror_s() {
    everywhere(Trap::None, &[Bystander::MirrorNamingRealm, Bystander::MirrorsRealm], is_whole);
}

#[test]
fn redirect_targets_on_another_port_see_nothing() {
    everywhere(Trap::Redirect, &[Bystander::Cdn], is_whole);
}

#[test]
fn redirect_targets_on_another_scheme_see_nothing() {
    everywhere(Trap::Redirect, &[Bystander::HttpCdn], is_whole);
}

#[test]
fn a_redirect_that_leads_back_does_not_bring_the_credentials_back() {
    everywhere(Trap::RedirectThereAndBack, &[Bystander::CdnSendingBack], |world, case| {
        is_whole(world, case);
        let back = world.requests_led_back();
        assert!(!back.is_empty());
        assert!(back.iter().all(|request| world::canaries(request).is_empty()), "{case:?}: {back:?}");
    });
}

#[test]
fn a_redirect_target_that_asks_is_not_answered() {
    everywhere(Trap::Redirect, &[Bystander::NosyCdn], |world, case| {
        assert!(world.pull().unwrap_err().is_unauthorized(), "{case:?}");
        world.assert_all_were_asked(case);
    });
}

#[test]
fn external_urls_of_layers_see_nothing_even_if_they_ask() {
    everywhere(Trap::ExternalLayer, &[Bystander::NosyHttp], is_whole);
}

#[test]
fn a_realm_over_http_is_not_asked_by_a_secure_registry() {
    everywhere(Trap::InsecureRealm, &[Bystander::HttpRealm], |world, case| {
        if case.asks_for_a_token() {
            let error = world.pull().unwrap_err();
            assert!(matches!(cause(&error), TokenError::InsecureRealm(_)), "{case:?}");
        } else {
            assert!(world.pull().is_ok() && world.origin_holds_its_own(), "{case:?}");
        }
        world.assert_none_was_asked(case);
    });
}

#[test]
fn a_token_server_that_redirects_does_not_pass_the_password_on() {
    everywhere(Trap::TokenRedirect, &[Bystander::NosyCdn], |world, case| {
        let outcome = world.pull();
        assert_eq!(outcome.is_err(), case.asks_for_a_token(), "{case:?}");
        if let Err(error) = outcome {
            assert!(matches!(cause(&error), TokenError::BadCredentials(_) | TokenError::Refused(_)), "{error:?}");
        }
    });
}

#[test]
fn a_next_page_of_tags_elsewhere_is_not_asked_for() {
    everywhere(Trap::TagsElsewhere, &[Bystander::NosyCdn], |world, case| {
        assert!(matches!(world.tags(), Err(RegistryError::Tags { .. })), "{case:?}");
        world.assert_none_was_asked(case);
    });
}
