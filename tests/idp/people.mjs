// Somebody who signs in to the console at the provider. There is no form to fill in: the provider believes at once
// that this is the person whom the test has named.

// The console as a client, but for where it takes those who have signed in.
export const CONSOLE = {
  client_id: 'console',
  client_secret: 'a secret: with+signs',
  account_id: null,
  scope: 'scopegate:view scopegate:manage',
  grant_types: ['authorization_code'],
  response_types: ['code'],
};

// Answers what the provider wants to know: who it is, and what the console may do in their name. `ada` agrees to all
// that is asked for, `vera` to looking alone, and whoever else it is does not agree.
export async function letIn(provider, person, request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: person } });
  }
  if (person !== 'ada' && person !== 'vera') {
    const answer = { error: 'access_denied', error_description: 'the person said no' };
    return provider.interactionFinished(request, response, answer);
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const agrees = (scope) => person === 'ada' || scope.endsWith(':view');
  for (const scope of prompt.details.missingOIDCScope ?? []) {
    if (agrees(scope)) grant.addOIDCScope(scope); else grant.rejectOIDCScope(scope);
  }
  for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
    for (const scope of scopes) {
      if (agrees(scope)) grant.addResourceScope(resource, scope); else grant.rejectResourceScope(resource, scope);
    }
  }
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, {
    mergeWithLastSubmission: true,
  });
}
