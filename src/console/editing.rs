//! Adding and editing a scope: one form, a review of what would change, and only then the change.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::Console;
use super::answer::page;
use super::done::Done;
use super::effects::Effects;
use super::form::Form;
use super::frame::{Frame, Section};
use super::refusal::Refusal;
use super::scope_form::{PrivilegeForm, ScopeForm, Step, order};
use super::shown::{Api, api_address, scope_address};
use super::visitor::Visitor;
use super::wrong::{Trouble, based_on, condition};
use crate::policy::ApiId;
use crate::registry::{Change, Changed, FieldError, Refused, Target, access, scope_view};

/// A form's fields, in their order.
type Pairs = Vec<(String, String)>;

/// What is edited.
pub(super) struct Editing {
    api: Api,
    id: ApiId,
    /// Whether requests to the api name an account.
    names_account: bool,
    /// The scope's name; `None`: a new one.
    scope: Option<String>,
}

#[derive(Template)]
#[template(path = "scope_form.html")]
struct FormPage<'a> {
    frame: Frame<'a>,
    page: &'a Editing,
    form: &'a ScopeForm,
    effects: &'a Effects,
    refusal: Option<&'a Trouble>,
}

#[derive(Template)]
#[template(path = "review.html")]
struct ReviewPage<'a> {
    frame: Frame<'a>,
    page: &'a Editing,
    form: &'a ScopeForm,
    effects: &'a Effects,
    /// Where it cannot be saved.
    refusal: Option<&'a Trouble>,
}

#[derive(Template)]
#[template(path = "effects.html")]
struct EffectsPart<'a> {
    effects: &'a Effects,
}

/// A form that was sent, on its way to an answer.
struct Sent<'a> {
    console: &'a Arc<Console>,
    visitor: &'a Visitor,
    editing: &'a Editing,
    form: ScopeForm,
    /// What is wrong with it before anybody is asked.
    faults: Vec<FieldError>,
}

/// The empty form of a new scope.
pub(super) async fn fresh(State(console): State<Arc<Console>>, visitor: Visitor, Path(api): Path<String>) -> Response {
    let editing = console.managing(&visitor).and_then(|()| console.editing(&api, None));
    let form = |editing: &Editing| ScopeForm::fresh(based_on(&console.generation().sha256), editing.names_account);
    opened(&console, &visitor, editing, form)
}

/// The form of a scope, as the file has it.
pub(super) async fn edit(State(console): State<Arc<Console>>, visitor: Visitor, Path(name): Path<String>) -> Response {
    let editing = console.managing(&visitor).and_then(|()| console.editing_of(&name));
    opened(&console, &visitor, editing, |editing| console.form_in_force(editing))
}

/// What is to be done with the form of a new scope.
pub(super) async fn create(
    State(console): State<Arc<Console>>,
    Path(api): Path<String>,
    Form { visitor, fields }: Form<Pairs>,
) -> Response {
    sent(&console, &visitor, console.editing(&api, None), fields).await
}

/// What is to be done with the form of a scope.
pub(super) async fn change(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    Form { visitor, fields }: Form<Pairs>,
) -> Response {
    sent(&console, &visitor, console.editing_of(&name), fields).await
}

fn opened(
    console: &Console,
    visitor: &Visitor,
    editing: Result<Editing, Refusal>,
    form: impl FnOnce(&Editing) -> ScopeForm,
) -> Response {
    let editing = match editing {
        Ok(editing) => editing,
        Err(refusal) => return console.refuse(Some(visitor), &refusal),
    };
    let form = form(&editing);
    let effects = console.effects(&form, &editing);
    let frame = console.frame(Some(visitor), Section::Apis);
    page(StatusCode::OK, &FormPage { frame, page: &editing, form: &form, effects: &effects, refusal: None })
}

async fn sent(console: &Arc<Console>, visitor: &Visitor, editing: Result<Editing, Refusal>, fields: Pairs) -> Response {
    let editing = match editing {
        Ok(editing) => editing,
        Err(Refusal::NoSuchPage) => return console.refuse(Some(visitor), &Refusal::Gone),
        Err(refusal) => return console.refuse(Some(visitor), &refusal),
    };
    let (mut form, step) = ScopeForm::sent(fields);
    match step {
        Step::Add => form.privileges.push(PrivilegeForm::default()),
        Step::Remove(place) if place < form.privileges.len() => drop(form.privileges.remove(place)),
        Step::Remove(_) | Step::Edit | Step::Effects | Step::Review | Step::Save => {}
    }
    let faults = form.faults();
    let sent = Sent { console, visitor, editing: &editing, form, faults };
    let answer = match step {
        Step::Add | Step::Remove(_) => Ok(sent.form_page(&console.effects(&sent.form, &editing), None)),
        Step::Edit | Step::Effects => sent.tested(step).await,
        Step::Review | Step::Save => sent.made(step).await,
    };
    answer.unwrap_or_else(|refusal| console.refuse(Some(visitor), &refusal))
}

impl Sent<'_> {
    /// The form as it is, or the panel beside it, with what it would do.
    async fn tested(self, step: Step) -> Result<Response, Refusal> {
        let rehearsed = self.make(true).await?;
        let errors = self.errors(&rehearsed);
        let effects = self.console.effects(&self.form, self.editing).with(&rehearsed, &errors, &self.form);
        if step == Step::Effects {
            return Ok(page(StatusCode::OK, &EffectsPart { effects: &effects }));
        }
        Ok(self.form_page(&effects, None))
    }

    /// What would change, or the change itself, if nothing is wrong.
    async fn made(self, step: Step) -> Result<Response, Refusal> {
        let saves = step == Step::Save && self.faults.is_empty();
        let made = self.make(!saves).await?;
        let errors = self.errors(&made);
        let changed = match &made {
            Ok(changed) if errors.is_empty() => changed,
            Ok(_) => return Ok(self.troubled(&Err(Refused::Fields(errors.clone())), &errors)),
            Err(_) => return Ok(self.troubled(&made, &errors)),
        };
        if saves {
            let done = if self.editing.is_new() { Done::Added } else { Done::Saved };
            let (_, name) = changed.target.parts();
            return Ok(Redirect::to(&format!("{}?done={}", scope_address(name), done.as_str())).into_response());
        }
        let effects = self.console.effects(&self.form, self.editing).with(&made, &[], &self.form);
        let read_only = self.console.registry.read_only();
        let trouble = read_only.map(|why| Trouble::of(&Refused::ReadOnly { why, patch: changed.diff.clone() }));
        let frame = self.console.frame(Some(self.visitor), Section::Apis);
        let (form, refusal) = (&self.form, trouble.as_ref());
        Ok(page(StatusCode::OK, &ReviewPage { frame, page: self.editing, form, effects: &effects, refusal }))
    }

    async fn make(&self, dry_run: bool) -> Result<Result<Changed, Refused>, Refusal> {
        let sent = self.form.entry();
        let change = match &self.editing.scope {
            None => Change::CreateScope { api: self.editing.api.name.clone(), sent },
            Some(name) => Change::Put(Target::Scope(name.clone()), sent),
        };
        self.console.make(change, condition(&self.form.based_on), self.visitor, dry_run).await
    }

    /// All that is wrong with the fields: what can be told here, and what the registry says of others.
    fn errors(&self, made: &Result<Changed, Refused>) -> Vec<FieldError> {
        let mut errors = self.faults.clone();
        if let Err(Refused::Fields(more)) = made {
            let is_new = |more: &&FieldError| {
                self.faults.is_empty()
                    || !more.field.is_empty() && self.faults.iter().all(|known| known.field != more.field)
            };
            errors.extend(more.iter().filter(is_new).cloned());
        }
        errors
    }

    /// The form again, with why the change was not made above it.
    fn troubled(mut self, made: &Result<Changed, Refused>, errors: &[FieldError]) -> Response {
        let Err(refused) = made else { return self.console.refuse(Some(self.visitor), &Refusal::Failed) };
        let all = Refused::Fields(errors.to_vec());
        let refused = if let Refused::Fields(_) = refused { &all } else { refused };
        let mut trouble = Trouble::of(refused);
        if let Refused::Fields(_) = refused {
            trouble.errors = errors.iter().map(|error| self.form.place(error)).collect();
            trouble.errors.sort_by_key(order);
        }
        if let Refused::Outdated = refused {
            self.form.based_on = based_on(&self.console.generation().sha256);
            if !self.editing.is_new() {
                trouble.differing = self.console.form_in_force(self.editing).differing(&self.form);
            }
        }
        self.form_page(&self.console.effects(&self.form, self.editing), Some(&trouble))
    }

    fn form_page(&self, effects: &Effects, refusal: Option<&Trouble>) -> Response {
        let status = refusal.map_or(StatusCode::OK, |trouble| trouble.status);
        let frame = self.console.frame(Some(self.visitor), Section::Apis);
        page(status, &FormPage { frame, page: self.editing, form: &self.form, effects, refusal })
    }
}

impl FormPage<'_> {
    /// What is wrong with a control.
    fn errors_of(&self, anchor: &str) -> Vec<&str> {
        self.refusal.map(|trouble| trouble.of_control(anchor)).unwrap_or_default()
    }

    /// What is wrong with a privilege, and with its services.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as the template has it")]
    fn errors_of_privilege(&self, place: &usize) -> [Vec<&str>; 2] {
        [self.errors_of(&format!("privilege-{place}")), self.errors_of(&format!("privilege-{place}-services"))]
    }
}

impl Editing {
    fn is_new(&self) -> bool {
        self.scope.is_none()
    }

    fn title(&self) -> String {
        match &self.scope {
            None => format!("Add a scope to {}", self.api.title()),
            Some(name) => format!("Edit {name}"),
        }
    }

    fn api_title(&self) -> &str {
        self.api.title()
    }

    fn api_address(&self) -> String {
        api_address(&self.api.name)
    }

    /// Where the form is sent.
    fn address(&self) -> String {
        match &self.scope {
            None => format!("{}/new", self.api_address()),
            Some(name) => format!("{}/edit", scope_address(name)),
        }
    }

    /// Where one goes without a change.
    fn back(&self) -> String {
        self.scope.as_deref().map_or_else(|| self.api_address(), scope_address)
    }
}

impl Console {
    /// Refuses those who may only look.
    pub(super) fn managing(&self, visitor: &Visitor) -> Result<(), Refusal> {
        if visitor.manages {
            return Ok(());
        }
        let generation = self.generation();
        Err(Refusal::MayOnlyLook(access(&generation).map(|access| access.manage.to_string()).unwrap_or_default()))
    }

    /// Makes a change that rests on the text with this SHA-256, or says what it would do.
    pub(super) async fn make(
        self: &Arc<Self>,
        change: Change,
        based_on: [u8; 32],
        visitor: &Visitor,
        dry_run: bool,
    ) -> Result<Result<Changed, Refused>, Refusal> {
        let (console, who) = (Arc::clone(self), visitor.who.clone());
        let made =
            tokio::task::spawn_blocking(move || console.registry.change(&change, based_on, who.editor(), dry_run));
        made.await.map_err(|_| Refusal::Failed)
    }

    fn editing(&self, api: &str, scope: Option<String>) -> Result<Editing, Refusal> {
        let generation = self.generation();
        let mut apis = (0..).map(ApiId).zip(generation.policy.apis());
        let (id, own) = apis.find(|(_, own)| own.name.as_str() == api).ok_or(Refusal::NoSuchPage)?;
        Ok(Editing { api: self.api(api)?, id, names_account: !own.account.is_empty(), scope })
    }

    fn editing_of(&self, name: &str) -> Result<Editing, Refusal> {
        let (scope, api) = self.scope(name)?;
        self.editing(&api.name, Some(scope.name))
    }

    /// The form of a scope as the file has it; as it is in force, if the file has another text.
    fn form_in_force(&self, editing: &Editing) -> ScopeForm {
        let generation = self.generation();
        let name = editing.scope.clone().unwrap_or_default();
        let in_force = || {
            let mut view = scope_view(&generation, &name, self.registry.gateway().metrics())?;
            view.get_mut("scope").map(serde_json::Value::take)
        };
        let entry = self.registry.entry(&Target::Scope(name.clone())).or_else(in_force).unwrap_or_default();
        ScopeForm::of_entry(&entry, based_on(&generation.sha256), editing.names_account)
    }

    fn effects(&self, form: &ScopeForm, editing: &Editing) -> Effects {
        Effects::of(form, &self.generation(), editing.id, self.registry.gateway().metrics())
    }
}
