type ToolCall = {
  readonly index: number;
  readonly id?: string;
  readonly type?: string;
  readonly function: { readonly name?: string; readonly arguments: string };
};

export type Chunk = {
  readonly choices: readonly {
    readonly index: number;
    readonly delta: {
      readonly content?: string;
      readonly reasoning_content?: string;
      readonly tool_calls?: readonly ToolCall[];
    };
    readonly finish_reason: string | null;
  }[];
};

/** One answer of a streamed chat, its deltas put together as OpenAI's clients do it: what it is when it is not streamed. */
export const putTogether = (chunks: readonly Chunk[], choice = 0) => {
  const own = chunks.flatMap(({ choices }) => choices.filter(({ index }) => index === choice));
  const textOf = (name: 'content' | 'reasoning_content') =>
    own.map(({ delta }) => delta[name] ?? '').join('');
  const calls: { id: string; type: string; function: { name: string; arguments: string } }[] = [];
  for (const { index, id, type, function: told } of own.flatMap(({ delta }) => delta.tool_calls ?? [])) {
    const begun = calls[index];
    if (begun !== undefined) begun.function.arguments += told.arguments;
    else if (index !== calls.length || id === undefined || type === undefined || told.name === undefined)
      throw new Error(`the call ${index} begins with ${JSON.stringify(told)}`);
    else calls.push({ id, type, function: { name: told.name, arguments: told.arguments } });
  }
  const [content, reasoning] = [textOf('content'), textOf('reasoning_content')];
  return {
    message: {
      role: 'assistant',
      content: content === '' && calls.length > 0 ? null : content,
      refusal: null,
      ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
    },
    finish_reason: own.at(-1)?.finish_reason,
  };
};
