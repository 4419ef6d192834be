# bash completion for holdfast(1)
_holdfast() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  local command=${COMP_WORDS[1]} sub=${COMP_WORDS[2]} words=
  local common="--json --socket --help"
  local job="--queue --priority --max-attempts --timeout --ttl --sink --callback --failure-callback --concurrency-key --durability --tags"
  COMPREPLY=()

  case $prev in
    --config|--db|--socket) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    --state) words="pending ready scheduled running completed dead cancelled" ;;
    --on-conflict) words="keep replace reject debounce keep_last" ;;
    --after-failure) words="dead run" ;;
    --durability) words="sync grouped memory result" ;;
    --catch-up) words="once skip all" ;;
    --dst) words="vixie skip both" ;;
    --overlap) words="skip queue cancel" ;;
    --queue) words=$(_holdfast_names queues) ;;
  esac
  if [[ -n $words ]]; then COMPREPLY=($(compgen -W "$words" -- "$cur")); return; fi

  if ((COMP_CWORD == 1)); then
    words="serve simulate add list show why wait cancel progress retry rm edit schedule emit subscription queue stats watch health clock next-wake metrics check
      backup prune condition link end-safe-mode top bundle version completion --help --version"
  else
    case $command in
      serve) words="--config --db --check $common" ;;
      simulate) words="--config --from --for --to --schedule --run-time --outage --suspend --clock-lost --set-clock --device --tz
        --seed --wakeups --jobs --summary --limit $common" ;;
      add) words="--delay --at --unique --unique-by --unique-for --on-conflict --debounce-max --after --after-failure --wait $job $common" ;;
      list) words="--state --queue --type --limit --after $common" ;;
      wait) words="--timeout $common" ;;
      progress) words="--attempt --percent --note --log --checkpoint $common" ;;
      retry) words="--all-dead --queue --type --over $common" ;;
      edit) words="--payload --priority --delay --at --max-attempts --tags $common" ;;
      emit) words="--key $common" ;;
      subscription)
        words=$common
        if ((COMP_CWORD == 2)); then words="list show"; elif [[ $sub == show ]]; then words="$(_holdfast_names subscriptions) $common"; fi ;;
      watch) words="--queue --type --id $common" ;;
      backup) COMPREPLY=($(compgen -f -- "$cur")); return ;;
      completion) words="bash" ;;
      next-wake) words="--unix $common" ;;
      condition)
        if ((COMP_CWORD == 2)); then
          words="list show set"
        else
          case $sub in
            set) words="$(_holdfast_names conditions) open closed --for --reason $common" ;;
            show) words="$(_holdfast_names conditions) $common" ;;
            *) words=$common ;;
          esac
        fi ;;
      link)
        words=$common
        if ((COMP_CWORD == 2)); then words="show set up"; elif [[ $sub == set ]]; then words="metered unmetered --default $common"; fi ;;
      clock)
        words=$common
        if ((COMP_CWORD == 2)); then words="show confirm reset"; fi ;;
      schedule)
        if ((COMP_CWORD == 2)); then
          words="list put rm pause resume run backfill next"
        else
          case $sub in
            put) words="--tz --dst --jitter --splay --catch-up --catch-up-window --catch-up-max --overlap --start --end --slack --limit
              --pause-after-failures $job $common" ;;
            backfill) words="--from --to $(_holdfast_names schedules) $common" ;;
            rm|pause|resume|run) words="$(_holdfast_names schedules) $common" ;;
            next) words="-n --tz --dst --from $(_holdfast_names schedules) $common" ;;
            *) words=$common ;;
          esac
        fi ;;
      queue)
        if ((COMP_CWORD == 2)); then
          words="list pause resume drain set"
        else
          case $sub in
            pause) words="--reason --for --until $(_holdfast_names queues) $common" ;;
            resume|drain) words="$(_holdfast_names queues) $common" ;;
            set) words="$(_holdfast_names queues) concurrency= rate_limit= throttle= key_concurrency= key_rate_limit= key_throttle= order= aging= fair= slack= windows= tz= when= max_pending= when_full= enqueue_limit= key_enqueue_limit= retry_budget= retention_completed= retention_dead= retention_completed_count= retention_dead_count= $common" ;;
            *) words=$common ;;
          esac
        fi ;;
      *) words=$common ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}

# The names of what the daemon has, if it answers: the first column, below its title.
_holdfast_names() {
  holdfast "${1%s}" list 2>/dev/null | awk 'NR > 1 { print $1 }'
}

complete -o default -F _holdfast holdfast
