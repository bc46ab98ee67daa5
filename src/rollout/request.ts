const verbs = ['promote', 'promote-full', 'abort', 'rollback', 'retry'] as const;
export type RequestVerb = (typeof verbs)[number];

/** Something that a person asked of a rollout. The id makes it act once. `verb` may be one that nobody knows. */
export type RolloutRequest = { readonly verb: string; readonly id: string };

export const isRequestVerb = (verb: string): verb is RequestVerb => verbs.some((known) => known === verb);

/** As the annotation `adaptlet.io/request` and `status.lastHandledRequest` have it. */
export const requestText = ({ verb, id }: RolloutRequest): string => `${verb}@${id}`;

/** Longest annotation that is read, in characters: `status.lastHandledRequest` has to hold it. */
const maxRequestText = 256;

/** Reads the annotation; undefined when it is not `<verb>@<id>` or longer than 256 characters. */
export const parseRequest = (annotation: string): RolloutRequest | undefined => {
  if (annotation.length > maxRequestText) return undefined;
  const [verb = '', id = '', ...rest] = annotation.split('@');
  return verb === '' || id === '' || rest.length > 0 ? undefined : { verb, id };
};
