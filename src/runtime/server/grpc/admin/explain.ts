import { AdaptletError } from '../../../../errors/adaptlet-error.ts';
import type { ExplainRequest, ExplainResponse } from '../../../../gen/adaptlet/inference/v1/admin.ts';
import type { Explanation } from '../../../routing/explain.ts';
import { identityOf } from '../../../routing/identity.ts';
import { namespaceIn } from '../../../routing/names.ts';
import { promptTextOf, withPrompt } from '../../../routing/prompt-text.ts';
import type { RequestContext } from '../../../routing/request.ts';
import { readHeaders } from '../../context.ts';
import { wire } from '../../wire.ts';

/**
 * The request that is to be explained, of a caller with all rights.
 * @throws REQUEST_INVALID
 */
export const explainedContext = (request: ExplainRequest, defaultNamespace: string): RequestContext => {
  const { model, prompt, user, session } = request;
  if (model === '') throw new AdaptletError('REQUEST_INVALID', 'model is empty');
  const headers = readHeaders(Object.entries(request.headers));
  const named = request.namespace === '' ? headers.get(wire.namespace) : request.namespace;
  const context: RequestContext = {
    namespace: namespaceIn(model) ?? named ?? defaultNamespace,
    model,
    ...identityOf(headers, { user, session }),
    headers,
  };
  return withPrompt(
    context,
    prompt === undefined ? undefined : promptTextOf([{ kind: 'text', text: prompt }]),
  );
};

export const explanationMessage = ({
  kind,
  route,
  rules,
  labels,
  rule,
  candidates,
}: Explanation): ExplainResponse => ({
  kind,
  route,
  rule,
  rules: rules.map(({ name, verdict, matches }) => ({
    name,
    verdict,
    matches: matches.map((match) => ({ verdict: match.verdict, conditions: [...match.conditions] })),
  })),
  labels: labels.map(({ classifier, label, score, margin, doubt, scores }) => {
    return { classifier, label, score, margin, doubt, scores: [...scores] };
  }),
  candidates: candidates.map(({ kind: what, text }) => ({ kind: what, text })),
});
