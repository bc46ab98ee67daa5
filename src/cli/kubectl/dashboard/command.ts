import { Command, InvalidArgumentError } from 'commander';
import { systemClock } from '../../../time/clock.ts';
import { PortForward } from '../../port-forward.ts';
import { type ClusterOptions, connectionOf } from '../cluster.ts';
import { leadingPod } from './leader.ts';
import { startLocalPage } from './local-page.ts';
import { viewerToken } from './token.ts';

type DashboardOptions = ClusterOptions & {
  readonly operatorNamespace: string;
  readonly port: number;
  readonly serviceAccount?: string;
};

const portOf = (text: string): number => {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535)
    throw new InvalidArgumentError('must be a port, or 0 for any');
  return port;
};

const accountOf = (text: string): string => {
  if (!/^[a-z0-9][-a-z0-9]*\/[a-z0-9][-a-z0-9.]*$/.test(text))
    throw new InvalidArgumentError('must be NAMESPACE/NAME');
  return text;
};

/** `kubectl adaptlet dashboard`. */
export const dashboardCommand = (): Command =>
  new Command('dashboard')
    .description('show the fleet and its rollouts as a web page on this machine, until Ctrl-C; it only reads')
    .option('-n, --namespace <namespace>', 'namespace to look at; default: all, which needs the right for it')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--kubeconfig <file>', 'path of a kubeconfig')
    .option('--request-timeout <duration>', 'how long one request may take, such as 5s', '30s')
    .option('--operator-namespace <namespace>', 'namespace of the operator', 'adaptlet-system')
    .option('--port <port>', 'local port; 0: any that is free', portOf, 0)
    .option(
      '--service-account <namespace/name>',
      'look as this ServiceAccount, of which you may make tokens; default: as yourself',
      accountOf,
    )
    .action(showDashboard);

/** Port of the dashboard inside the pod, as the chart has it. */
const podPort = 8082;
/** Milliseconds that kubectl may take to forward a port. */
const timeoutMs = 10_000;

const showDashboard = async (options: DashboardOptions): Promise<void> => {
  const { operatorNamespace: namespace, port, serviceAccount: account } = options;
  const api = connectionOf(options);
  const token = viewerToken({ api, clock: systemClock, namespace, account });
  let forward: Promise<PortForward> | undefined;
  const lost = (): void => {
    forward?.then((open) => open[Symbol.dispose]()).catch(() => undefined);
    forward = undefined;
  };
  const opened = async (): Promise<number> => {
    if (forward !== undefined && !(await forward.catch(() => undefined))?.isOpen) lost();
    forward ??= leadingPod(api, namespace).then((pod) =>
      PortForward.open({ ...options, namespace, target: `pod/${pod}`, port: podPort, timeoutMs }),
    );
    return (await forward).port;
  };
  try {
    // What cannot work is said here, and not in the browser.
    await Promise.all([opened(), token()]);
    const page = await startLocalPage({ port, forward: opened, token, lost });
    const query =
      options.namespace === undefined ? '' : `?namespace=${encodeURIComponent(options.namespace)}`;
    process.stdout.write(
      `${page.url}${query}\nOpen this in a browser on this machine; whoever has the address sees what you may see. Ctrl-C ends it.\n`,
    );
    await new Promise<void>((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
    });
    page.close();
  } finally {
    lost();
    api.close();
  }
};
