//! `verify`: what the policy says of an image, without copying it.

use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;

use super::args::Global;
use super::output::print;
use super::signature_args::{Judged, VerifyArgs};
use super::{Failure, Usage, settings};
use crate::config::Config;
use crate::manifest::Index;
use crate::policy::{Error, Policy};
use crate::reference::ImageReference;
use crate::source::{DirSource, ImageSource, Options, open_with};
use crate::{Digest, copy, error};

mod report;

use report::{Answer, Report};

pub(super) fn run(global: &Global, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    if args.offline.is_some() && args.images.len() > 1 {
        return Err(
            Usage("--offline has the manifest and the signatures of one image: name one IMAGE".to_owned()).into()
        );
    }
    let named = |text: &String| match settings::image_or_name(text) {
        Ok(image) => Ok((text.clone(), image)),
        Err(failure) => Err(Usage(format!("{text:?}: {}", error::one_line(&*failure)))),
    };
    let images = args.images.iter().map(named).collect::<Result<Vec<_>, _>>()?;
    let access = args.registry.access();
    let config = settings::config(global, &access)?;
    let policy = settings::policy(&config, global)?;
    let options = settings::options(&config, global, access)?;
    let verifier = Verifier { global, args, config, policy, options };
    let mut page = Page { json: args.json, is_first: true, is_closed: false, worst: Answer::Allowed };
    for (text, image) in &images {
        verifier.image(text, image, &mut page)?;
    }
    Ok(page.worst.exit_code())
}

/// Where the reports go, each as soon as it is there.
struct Page {
    json: bool,
    is_first: bool,
    is_closed: bool,
    worst: Answer,
}

impl Page {
    /// Who closed the pipe has seen enough of the reports. The images are judged all the same: a no must not become a yes
    /// by that.
    fn show(&mut self, report: &Report) -> Result<(), Failure> {
        self.worst = self.worst.max(report.answer);
        let text = match (self.json, self.is_first) {
            (true, _) => report.to_json()? + "\n",
            (false, true) => report.page(),
            (false, false) => format!("\n{}", report.page()),
        };
        self.is_first = false;
        if self.is_closed {
            return Ok(());
        }
        match print(&text) {
            Err(failure) if super::is_broken_pipe(&*failure) => self.is_closed = true,
            outcome => drop(outcome?),
        }
        Ok(())
    }
}

struct Verifier<'a> {
    global: &'a Global,
    args: &'a VerifyArgs,
    config: Config,
    policy: Policy,
    options: Options,
}

impl Verifier<'_> {
    /// Shows a report for each manifest that is judged.
    fn image(&self, text: &str, image: &ImageReference, page: &mut Page) -> Result<(), Failure> {
        if let Err(Error::Rejected(judgement)) = self.policy.check_beforehand(image) {
            let judgement = Some(*judgement);
            return page.show(&Report {
                image: text.to_owned(),
                answer: Answer::Refused,
                names: None,
                judgement,
                error: None,
            });
        }
        let opened = self.open(image).and_then(|source| Ok((self.instances(&*source)?, source)));
        match opened {
            Ok((instances, source)) => {
                let mut instances = instances.iter();
                instances.try_for_each(|instance| page.show(&self.report(text, &*source, instance.as_ref())))
            }
            Err(failure) => page.show(&Report {
                image: text.to_owned(),
                answer: Answer::Undecided,
                names: None,
                judgement: None,
                error: Some(error::one_line(&*failure)),
            }),
        }
    }

    fn open(&self, image: &ImageReference) -> Result<Box<dyn ImageSource>, Failure> {
        match &self.args.offline {
            Some(directory) => offline(directory, image.clone()),
            None => Ok(open_with(&self.config, image, &self.options)?),
        }
    }

    /// Which manifests are judged; `None` is the top-level one.
    fn instances(&self, source: &dyn ImageSource) -> Result<Vec<Option<Digest>>, Failure> {
        let top = source.manifest(None)?;
        if !top.media_type().is_index() {
            return Ok(vec![None]);
        }
        Ok(match self.args.multi_arch {
            Judged::System => vec![Some(copy::system_instance(&top, &settings::platform(self.global))?)],
            Judged::IndexOnly => vec![None],
            Judged::All => {
                let index = Index::parse(&top)?;
                let mut seen = HashSet::new();
                let instances = index.instances().iter().map(|instance| instance.digest().clone());
                let instances = instances.filter(|digest| seen.insert(digest.clone())).map(Some);
                std::iter::once(None).chain(instances).collect()
            }
        })
    }

    fn report(&self, text: &str, source: &dyn ImageSource, instance: Option<&Digest>) -> Report {
        let (answer, judgement, error) = match self.policy.allow(source, instance) {
            Ok(allowed) => (Answer::Allowed, Some(allowed.judgement().clone()), None),
            Err(Error::Rejected(judgement)) => (Answer::Refused, Some(*judgement), None),
            Err(error) => {
                let answer = if error.is_refused() { Answer::Refused } else { Answer::Undecided };
                (answer, error.judgement().cloned(), Some(error::one_line(&error)))
            }
        };
        let names = Some((source.logical().to_string(), source.physical().to_string()));
        Report { image: text.to_owned(), answer, names, judgement, error }
    }
}

/// The directory's manifest and signatures, judged as those of the image.
fn offline(directory: &Path, image: ImageReference) -> Result<Box<dyn ImageSource>, Failure> {
    let directory = directory.to_str().and_then(|text| text.strip_prefix("dir:")).map_or(directory, Path::new);
    Ok(Box::new(DirSource::open(directory)?.standing_for(image)))
}
