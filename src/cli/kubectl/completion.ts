import { Argument, Command, type Option } from 'commander';
import {
  adapterType,
  analysisType,
  namespaceType,
  policyType,
  rolloutType,
} from '../../operator/objects/resource-types.ts';
import { type ClusterOptions, connect } from './cluster.ts';
import { shownKinds } from './get.ts';
import { kindOf, listedKinds } from './list.ts';

const scripts: Readonly<Record<string, string>> = {
  bash: `_kubectl_adaptlet() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(kubectl-adaptlet __complete "\${COMP_WORDS[@]:1}" 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _kubectl_adaptlet kubectl-adaptlet
`,
  zsh: `#compdef kubectl-adaptlet
_kubectl_adaptlet() {
  local -a found
  found=(\${(f)"$(kubectl-adaptlet __complete "\${words[@]:1}" 2>/dev/null)"})
  compadd -a found
}
compdef _kubectl_adaptlet kubectl-adaptlet
`,
  fish: `complete -c kubectl-adaptlet -f -a '(kubectl-adaptlet __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
`,
};

/** Objects whose names may be completed. */
type NamedKind = 'rollouts' | 'adapters' | 'analyses' | 'policies' | 'namespaces';
type Names = (kind: NamedKind, options: ClusterOptions) => Promise<readonly string[]>;

/** What stands before the word that is being typed. */
type Given = {
  readonly words: readonly string[];
  readonly options: Readonly<Record<string, string>>;
  /** The option whose value comes next. */
  readonly pending: Option | undefined;
};

const givenTo = (command: Command, typed: readonly string[]): Given => {
  const words: string[] = [];
  const options: Record<string, string> = {};
  let pending: Option | undefined;
  for (const word of typed) {
    const [flag = '', value] = word.split('=', 2);
    const option = word.startsWith('-')
      ? command.options.find(({ short, long }) => flag === short || flag === long)
      : undefined;
    if (pending !== undefined) options[pending.attributeName()] = word;
    else if (option?.required === true && value !== undefined) options[option.attributeName()] = value;
    else if (!word.startsWith('-')) words.push(word);
    pending = pending === undefined && option?.required === true && value === undefined ? option : undefined;
  }
  return { words, options, pending };
};

/** Options whose value is the name of an object. */
const namedByOption: Readonly<Record<string, NamedKind>> = { namespace: 'namespaces', to: 'adapters' };

/** Words that may stand where the last of `words` is being typed. Names of objects come from the cluster. */
export const completionsOf = async (
  commands: readonly Command[],
  words: readonly string[],
  names: Names,
): Promise<readonly string[]> => {
  const typed = words.at(-1) ?? '';
  const starting = (all: readonly string[]): string[] => all.filter((word) => word.startsWith(typed));
  if (words.length <= 1) return starting(commands.map((command) => command.name()));
  const command = commands.find((candidate) => candidate.name() === words[0]);
  if (command === undefined) return [];
  const given = givenTo(command, words.slice(1, -1));
  if (given.pending !== undefined) {
    const kind = namedByOption[given.pending.attributeName()];
    return starting(given.pending.argChoices ?? (kind === undefined ? [] : await names(kind, given.options)));
  }
  if (typed.startsWith('-')) return starting(command.options.flatMap(({ long }) => long ?? []));
  const argument = command.registeredArguments[given.words.length];
  if (argument === undefined) return [];
  if (argument.argChoices !== undefined) return starting(argument.argChoices);
  if (argument.name() === 'kind') return starting(command.name() === 'list' ? listedKinds : shownKinds);
  return starting(
    await names(command.name() === 'get' ? namedIn(given.words[0]) : 'rollouts', given.options),
  );
};

/** Whose names follow the word for a kind. */
const namedIn = (word = ''): NamedKind => {
  const kind = kindOf(word);
  return kind === 'analyses' || kind === 'policies' ? kind : 'rollouts';
};

const types = {
  rollouts: rolloutType,
  adapters: adapterType,
  analyses: analysisType,
  policies: policyType,
  namespaces: namespaceType,
} as const;

/** Nobody waits longer for a suggestion. */
const requestTimeout = '3s';

const namesInCluster: Names = async (kind, options) => {
  using cluster = connect({ ...options, requestTimeout });
  const found = await cluster.list(types[kind]);
  return found.map(({ metadata }) => metadata.name);
};

/** `kubectl adaptlet completion SHELL` */
export const completionCommand = (): Command =>
  new Command('completion')
    .description('print the script that completes commands and names in a shell')
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(Object.keys(scripts)))
    .addHelpText(
      'after',
      '\nbash: source <(kubectl-adaptlet completion bash). For "kubectl adaptlet" put bin/kubectl_complete-adaptlet on the PATH.',
    )
    .action((shell: string) => {
      process.stdout.write(scripts[shell] ?? '');
    });

/** What the script of {@link completionCommand} calls, and kubectl's own completion. */
export const completeCommand = (commands: readonly Command[]): Command =>
  new Command('__complete')
    .argument('[words...]')
    .allowUnknownOption()
    .helpOption(false)
    .action(async (words: string[]) => {
      const found = await completionsOf(commands, words, namesInCluster);
      process.stdout.write(found.map((word) => `${word}\n`).join(''));
    });
