// The server at a glance: its executor, models, deployments and version.

import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { ExecutorStatus, ServerStatus } from '../api';
import { VERSION } from '../version';

interface IServerProps {
  readonly status: ServerStatus;

  /** Whether the status is an old one: the server doesn't answer now. */
  readonly stale: boolean;

  readonly versionsDiffer: boolean;
  readonly trans: TranslationBundle;
}

/** The server's state as a short list of facts. */
export function Server(props: IServerProps): React.JSX.Element {
  const { status, stale, versionsDiffer, trans } = props;
  const deployments = status.executor.deployments ?? [];
  const ready = deployments.filter(each => each.state === 'ready').length;
  return (
    <section className="norman-Server" aria-label={trans.__('Server')}>
      <dl className="norman-Facts">
        <dt>{trans.__('Executor')}</dt>
        <dd>
          <State
            state={status.executor.state}
            label={
              stale
                ? trans.__(
                    '%1 (last known)',
                    executorLabel(status.executor, trans)
                  )
                : executorLabel(status.executor, trans)
            }
          />
        </dd>
        {status.relay ? (
          <>
            <dt>{trans.__('Served by')}</dt>
            <dd>
              {trans.__(
                'another Jupyter server (process %1)',
                status.relay.holding_pid
              )}
            </dd>
          </>
        ) : null}
        <dt>{trans.__('Models')}</dt>
        <dd>{status.model_count}</dd>
        <dt>{trans.__('Deployments')}</dt>
        <dd>
          {deployments.length === 0
            ? trans.__('none running')
            : trans.__('%1 of %2 ready', ready, deployments.length)}
        </dd>
        <dt>{trans.__('Server version')}</dt>
        <dd>{status.version}</dd>
      </dl>
      {versionsDiffer ? (
        <p className="norman-Mismatch" role="status">
          {trans.__(
            'This page was made for Norman %1, the server runs %2. Reload the page; if the message stays, restart the Jupyter server.',
            VERSION,
            status.version
          )}
        </p>
      ) : null}
    </section>
  );
}

/** A state in words, after a dot in its colour. */
export function State(props: {
  readonly state: string;
  readonly label: string;
}): React.JSX.Element {
  return (
    <span className="norman-State" data-state={props.state}>
      <span className="norman-State-dot" aria-hidden="true" />
      {props.label}
    </span>
  );
}

function executorLabel(
  executor: ExecutorStatus,
  trans: TranslationBundle
): string {
  const state = {
    starting: trans.__('starting'),
    ready: trans.__('ready'),
    restarting: trans.__('restarting'),
    stopped: trans.__('stopped')
  }[executor.state];
  const restarts = executor.restarts ?? 0;
  return restarts === 0
    ? state
    : trans._n(
        '%2, restarted %1 time',
        '%2, restarted %1 times',
        restarts,
        state
      );
}
