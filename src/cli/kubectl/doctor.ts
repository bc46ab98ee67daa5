import { Command, Option } from 'commander';
import { checkCluster } from '../doctor/cluster/checks.ts';
import { gatherCluster } from '../doctor/cluster/gather.ts';
import { exitCodeOf, reportJson, reportText } from '../doctor/report.ts';
import { type ClusterOptions, connectionOf } from './cluster.ts';

/** Where the chart is installed, as its pages do it. */
const defaultNamespace = 'adaptlet-system';

export type DoctorOptions = ClusterOptions & { readonly operator?: string; readonly output?: 'json' };

/** Options about a cluster; `namespace` is the one of the operator. */
export const withDoctorOptions = (command: Command): Command =>
  command
    .option('-n, --namespace <namespace>', 'namespace of the operator', defaultNamespace)
    .option('--context <name>', 'context of the kubeconfig')
    .option('--kubeconfig <file>', 'path of a kubeconfig')
    .option('--request-timeout <duration>', 'how long one request may take, such as 5s', '10s')
    .option('--operator <address>', 'host:port of a replica, where one is reached from here')
    .addOption(new Option('-o, --output <format>', 'json, for programs').choices(['json']));

/** Looks at a cluster, prints what it found, and sets the exit code. */
export const examineCluster = async (options: DoctorOptions, version: string): Promise<void> => {
  const connection = connectionOf(options);
  try {
    const facts = await gatherCluster(connection, {
      namespace: options.namespace ?? defaultNamespace,
      version,
      now: Date.now,
      operator: options.operator,
      kubeconfig: options.kubeconfig,
      context: options.context,
    });
    const findings = checkCluster(facts);
    process.stdout.write(options.output === 'json' ? reportJson(findings) : reportText(findings));
    process.exitCode = exitCodeOf(findings);
  } finally {
    connection.close();
  }
};

/** `kubectl adaptlet doctor`. */
export const doctorCommand = (version: string): Command =>
  withDoctorOptions(new Command('doctor'))
    .description('look for what is wrong with an installation, and say what to do; it changes nothing')
    .action((options: DoctorOptions) => examineCluster(options, version));
