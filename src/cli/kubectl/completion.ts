import { Argument, Command } from 'commander';
import { adapterType, rolloutType } from '../../operator/resource-types.ts';
import { connect } from './cluster.ts';

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

/** Words that may stand where the last of `words` is being typed. Names of objects come from the cluster. */
export const completionsOf = async (
  commands: readonly Command[],
  words: readonly string[],
  names: (kind: 'rollouts' | 'adapters') => Promise<readonly string[]>,
): Promise<readonly string[]> => {
  const typed = words.at(-1) ?? '';
  const starting = (all: readonly string[]): string[] => all.filter((word) => word.startsWith(typed));
  if (words.length <= 1) return starting(commands.map((command) => command.name()));
  const command = commands.find((candidate) => candidate.name() === words[0]);
  if (command === undefined) return [];
  if (typed.startsWith('-')) return starting(command.options.flatMap(({ long }) => long ?? []));
  const given = words.slice(1, -1).filter((word) => !word.startsWith('-'));
  if (command.name() === 'list') return starting(['adapters', 'rollouts', 'routes', 'runtimes']);
  if (command.name() === 'completion') return starting(Object.keys(scripts));
  if (command.name() === 'get' && given.length === 0) return starting(['rollout']);
  return starting(await names(words.at(-2) === '--to' ? 'adapters' : 'rollouts'));
};

const namesInCluster = async (kind: 'rollouts' | 'adapters'): Promise<readonly string[]> => {
  using cluster = connect({});
  const found = await cluster.list(kind === 'rollouts' ? rolloutType : adapterType);
  return found.map(({ metadata }) => metadata.name);
};

/** `kubectl adaptlet completion SHELL`, and what its script (and kubectl's own completion) calls. */
export const completionCommands = (commands: readonly Command[]): Command[] => {
  const completion = new Command('completion')
    .description('print the script that completes commands and names in a shell')
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(Object.keys(scripts)))
    .addHelpText(
      'after',
      '\nbash: source <(kubectl-adaptlet completion bash). For "kubectl adaptlet" put bin/kubectl_complete-adaptlet on the PATH.',
    )
    .action((shell: string) => {
      process.stdout.write(scripts[shell] ?? '');
    });
  const complete = new Command('__complete')
    .argument('[words...]')
    .allowUnknownOption()
    .helpOption(false)
    .action(async (words: string[]) => {
      const found = await completionsOf([...commands, completion], words, namesInCluster);
      process.stdout.write(found.map((word) => `${word}\n`).join(''));
    });
  return [completion, complete];
};
