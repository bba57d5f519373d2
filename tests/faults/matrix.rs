//! Every fault, at every position, in every set of sources.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::combination::{Combination, Outcome, Sources};
use crate::fault::{FAULTS, Fault};
use crate::position::{POSITIONS, Position};
use crate::world::{Transport, World};

const SOURCES: [Sources; 3] = [Sources::OneMirror, Sources::TwoMirrors, Sources::All];
/// Most of them wait for a timeout.
const AT_A_TIME: usize = 8;
/// Each takes seconds where this is a minute: what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

const PAGE: &str = "docs/reliability.md";
const BEGIN: &str = "<!-- tests/faults writes what follows -->\n";
const END: &str = "<!-- tests/faults wrote this -->\n";

/// What must come of it.
fn expected(fault: Fault, position: Position, sources: Sources) -> Outcome {
    match (fault, position, sources) {
        // Whatever answers there, answers over https: that is all the question.
        (_, Position::Ping, _) if fault.door(false).is_none() => Outcome::EndsItself,
        // One byte is no drip.
        (Fault::Drip, Position::LastByte, _) => Outcome::EndsItself,
        (_, _, Sources::All) => Outcome::Fails,
        _ => Outcome::Ends,
    }
}

fn combinations() -> Vec<Combination> {
    let mut all = Vec::new();
    for fault in FAULTS {
        for position in POSITIONS {
            for sources in SOURCES {
                let transport = if all.len() % 2 == 0 { Transport::Dir } else { Transport::Oci };
                all.push(Combination { fault, position, sources, transport });
            }
        }
    }
    all
}

/// Runs them all, several at a time.
fn run(world: World, all: &[Combination]) -> Vec<Result<Outcome, String>> {
    let (world, all, next) = (Arc::new(world), Arc::new(all.to_vec()), Arc::new(AtomicUsize::new(0)));
    let running: Arc<Mutex<Vec<(usize, Instant)>>> = Arc::default();
    let (sender, receiver) = mpsc::channel();
    for _ in 0..AT_A_TIME {
        let (world, all, next) = (Arc::clone(&world), Arc::clone(&all), Arc::clone(&next));
        let (running, sender) = (Arc::clone(&running), sender.clone());
        thread::spawn(move || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(combination) = all.get(index) else { return };
                running.lock().unwrap().push((index, Instant::now()));
                let outcome = combination.run(&world);
                running.lock().unwrap().retain(|(other, _)| *other != index);
                if sender.send((index, outcome)).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let mut outcomes = vec![Err("it never ended".to_owned()); all.len()];
    loop {
        match receiver.recv_timeout(Duration::from_secs(1)) {
            Ok((index, outcome)) => outcomes[index] = outcome,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return outcomes,
        }
        let mut hanging = running.lock().unwrap().clone();
        hanging.retain(|(_, began)| began.elapsed() > PATIENCE);
        let hanging: Vec<_> = hanging.into_iter().map(|(index, _)| all[index]).collect();
        assert!(hanging.is_empty(), "more than a minute: {hanging:?}");
    }
}

#[test]
fn whatever_is_wrong_the_copy_is_the_image_or_an_error_names_every_source_and_its_fault() {
    let Some(world) = World::new() else { return };
    let all = combinations();
    let outcomes = run(world, &all);
    let mut report = String::new();
    for (combination, outcome) in all.iter().zip(&outcomes) {
        let Combination { fault, position, sources, .. } = *combination;
        if *outcome != Ok(expected(fault, position, sources)) {
            writeln!(report, "{combination:?}: {outcome:?}").unwrap();
        }
    }
    assert!(report.is_empty(), "{} of {}:\n{report}", report.lines().count(), all.len());
    compare(&page(&outcomes.into_iter().map(Result::unwrap).collect::<Vec<_>>()));
}

/// The outcomes, as the document shows them.
fn page(outcomes: &[Outcome]) -> String {
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    let mut page = format!(
        "{} combinations: {} faults × {} positions × {} sets of sources. {} end with another source's help, {} end\n\
         without, {} fail with an error that names every source and its fault.\n\n",
        outcomes.len(),
        FAULTS.len(),
        POSITIONS.len(),
        SOURCES.len(),
        count(Outcome::Ends),
        count(Outcome::EndsItself),
        count(Outcome::Fails),
    );
    let names = POSITIONS.map(Position::name);
    writeln!(page, "| fault | {} | an error says |\n|---{}|---|", names.join(" | "), "|---".repeat(names.len()))
        .unwrap();
    for (fault, row) in FAULTS.iter().zip(outcomes.chunks(POSITIONS.len() * SOURCES.len())) {
        let cells: Vec<_> = row.chunks(SOURCES.len()).map(cell).collect();
        let words: Vec<_> = fault.words().iter().map(|word| format!("`{word}`")).collect();
        writeln!(page, "| {} | {} | {} |", fault.name(), cells.join(" | "), words.join(", ")).unwrap();
    }
    page
}

fn cell(outcomes: &[Outcome]) -> String {
    let letter = |outcome: &Outcome| match outcome {
        Outcome::EndsItself => "E",
        Outcome::Ends => "e",
        Outcome::Fails => "f",
    };
    outcomes.iter().map(letter).collect::<Vec<_>>().join(" ")
}

/// Finds this in the document, or writes it there.
fn compare(made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    #[allow(clippy::disallowed_methods, reason = "not a setting of the product")]
    if std::env::var_os("TRANSSHIP_RECORD").is_some_and(|value| value == "1") {
        fs::write(&path, [before, BEGIN, made, END, after].concat()).unwrap();
    } else {
        assert!(found == made, "{PAGE} is of another day; TRANSSHIP_RECORD=1 writes it anew. It should say:\n{made}");
    }
}
