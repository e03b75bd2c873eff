import { nullTranslator } from '@jupyterlab/translation';
import * as React from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it } from 'vitest';

import { Models } from '../src/components/models';
import { Notice } from '../src/components/notice';
import { Server } from '../src/components/server';
import type { ModelSummary, ServerStatus } from '../src/api';
import type { Connection } from '../src/tokens';
import { aModel, aStatus } from './answers';

const trans = nullTranslator.load('norman_jupyter');
const nothing = (): void => undefined;

function parse(element: React.JSX.Element): HTMLElement {
  const host = document.createElement('div');
  host.innerHTML = renderToStaticMarkup(element);
  return host;
}

function server(
  changes: Partial<ServerStatus> = {},
  facts: { stale?: boolean; versionsDiffer?: boolean } = {}
): HTMLElement {
  return parse(
    <Server
      status={aStatus(changes)}
      stale={facts.stale ?? false}
      versionsDiffer={facts.versionsDiffer ?? false}
      trans={trans}
    />
  );
}

function models(items: ModelSummary[], hasMore = false): HTMLElement {
  return parse(
    <Models
      models={items}
      hasMore={hasMore}
      trans={trans}
      onShowMore={nothing}
    />
  );
}

function notice(connection: Connection): HTMLElement {
  return parse(
    <Notice connection={connection} trans={trans} onRetry={nothing} />
  );
}

describe('Server', () => {
  it('tells of executor, models, deployments and version', () => {
    const shown = server().textContent;
    expect(shown).toContain('Executorready');
    expect(shown).toContain('Models1');
    expect(shown).toContain('Deployments1 of 1 ready');
    expect(shown).toContain('Server version0.1.0');
  });

  it('counts restarts of the executor', () => {
    const executor = { state: 'ready' as const, restarts: 2 };
    expect(server({ executor }).textContent).toContain(
      'ready, restarted 2 times'
    );
  });

  it('names the server that serves where this one relays', () => {
    const relay = { relaying_pid: 11, holding_pid: 7 };
    expect(server({ relay }).textContent).toContain(
      'Served byanother Jupyter server (process 7)'
    );
    expect(server().textContent).not.toContain('Served by');
  });

  it('says so when nothing runs', () => {
    const executor = { state: 'starting' as const };
    const shown = server({ executor }).textContent;
    expect(shown).toContain('starting');
    expect(shown).toContain('none running');
  });

  it('speaks of versions only when they differ', () => {
    expect(server().textContent).not.toContain('This page was made for');
    const shown = server({ version: '9.9.9' }, { versionsDiffer: true });
    expect(shown.querySelector('[role=status]')?.textContent).toContain(
      'the server runs 9.9.9'
    );
  });

  it('marks facts that are old', () => {
    const shown = server({}, { stale: true });
    expect(shown.textContent).toContain('ready (last known)');
  });
});

describe('Models', () => {
  it('says what to do while there are none', () => {
    expect(models([]).textContent).toContain('%norman upload ./model');
  });

  it('shows name, version, state, runtime and tags', () => {
    const shown = models([aModel({ tags: ['mnist'] })]);
    const item = shown.querySelector('li');
    expect(item?.textContent).toBe('digitsready@2 · onnx · mnist');
    expect(item?.querySelector('[data-state=ready]')).not.toBeNull();
  });

  it('tells an active version from the latest', () => {
    expect(models([aModel({ latest: 3 })]).textContent).toContain(
      '@2, latest @3'
    );
    expect(
      models([aModel({ active: null, state: 'failed' })]).textContent
    ).toContain('no active version');
  });

  it('shows markup of a model as text', () => {
    const name = '<img src=x onerror="alert(1)">';
    const shown = models([aModel({ name, description: name, tags: [name] })]);
    expect(shown.querySelector('img')).toBeNull();
    expect(shown.querySelector('.norman-Model-name')?.textContent).toBe(name);
  });

  it('offers more only where there is more', () => {
    expect(models([aModel()]).querySelector('button')).toBeNull();
    expect(models([aModel()], true).querySelector('button')).not.toBeNull();
  });
});

describe('Notice', () => {
  it.each(['loading', 'online'] as const)('is silent while %s', kind => {
    expect(notice({ kind }).childElementCount).toBe(0);
  });

  it.each([
    ['absent', 'jupyter server extension enable norman_server'],
    ['unreachable', 'Trying again by itself'],
    ['refused', 'Sign in again']
  ] as const)('says what to do when %s', (kind, advice) => {
    const shown = notice({ kind });
    expect(shown.querySelector('[role=alert]')?.textContent).toContain(advice);
    expect(shown.querySelector('button')?.textContent).toBe('Try now');
  });

  it('names the request that failed', () => {
    const shown = notice({
      kind: 'failed',
      message: 'The disk is full.',
      requestId: 'r-1'
    });
    expect(shown.textContent).toContain(
      'The disk is full. The log of the Jupyter server has more under request r-1.'
    );
  });

  it('shows markup of a message as text', () => {
    const message = '<script>alert(1)</script>';
    const shown = notice({ kind: 'failed', message, requestId: null });
    expect(shown.querySelector('script')).toBeNull();
    expect(shown.textContent).toContain(message);
  });
});
